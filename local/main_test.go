package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ecs-image-export/local/cloud"
	"ecs-image-export/local/ecs/sample"
)

// process is a running stand-in.
type process struct {
	*exec.Cmd
	output      bytes.Buffer
	environment map[string]string
	ended       chan error
}

// run starts the program and waits until everything answers.
func run(t *testing.T, program, data, images string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(program, "-listen", "127.0.0.1:0", "-data", data, "-images", images, "-speed", "60"), ended: make(chan error, 1)}
	p.Stdout, p.Stderr = &p.output, &p.output
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.Wait() }()
	t.Cleanup(func() { p.Process.Kill() })
	path, began := cloud.EnvironmentFile(data), time.Now()
	poll(t, time.Minute, "endpoints.env", func() bool {
		select {
		case err := <-p.ended:
			t.Fatalf("it ended: %v\n%s", err, p.output.String())
		default:
		}
		// One that a killed stand-in left may still be there for a moment.
		if info, err := os.Stat(path); err != nil || info.ModTime().Before(began) {
			return false
		}
		text, err := os.ReadFile(path)
		p.environment = map[string]string{}
		for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
			k, v, _ := strings.Cut(s.Text(), "=")
			p.environment[k] = v
		}
		return err == nil
	})
	return p
}

// stop sends a signal and waits for the end.
func (p *process) stop(t *testing.T, s os.Signal) error {
	t.Helper()
	if err := p.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-p.ended:
		return err
	case <-time.After(20 * time.Second):
		t.Fatalf("it does not stop on %v\n%s", s, p.output.String())
		return nil
	}
}

func (p *process) call(t *testing.T, method, path, body string) (status int, answer map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, p.environment["API_URL"]+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.environment["API_TOKEN"])
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatalf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	return resp.StatusCode, answer
}

// TestLife starts the stand-in, exports, stops it, starts it again, and kills it.
func TestLife(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	images, data := filepath.Join(dir, "images"), filepath.Join(dir, "data")
	ids, err := sample.Small(images, 2)
	if err != nil {
		t.Fatal(err)
	}
	root, err := cloud.Root()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "local")
	if err := cloud.BuildOne(t.Context(), root, program, "./local"); err != nil {
		t.Fatal(err)
	}

	p := run(t, program, data, images)
	for _, name := range strings.Fields(`API_URL API_TOKEN OSS_ENDPOINT MNS_ENDPOINT MNS_URL ECS_ENDPOINT RAM_ENDPOINT STS_ENDPOINT
		REGION ACCOUNT_ID ACCESS_KEY_ID ACCESS_KEY_SECRET EXPORT_BUCKET RECORDS_BUCKET TASK_QUEUE EVENT_TOPIC`) {
		if p.environment[name] == "" {
			t.Errorf("endpoints.env does not set %s", name)
		}
	}
	if status, _ := p.call(t, http.MethodGet, "/healthz", ""); status != http.StatusOK {
		t.Errorf("/healthz: %d", status)
	}
	if status, keys := p.call(t, http.MethodGet, "/_local/keys", ""); status != http.StatusOK || keys["keys"] == nil {
		t.Errorf("/_local/keys: %d %v", status, keys)
	}
	status, export := p.call(t, http.MethodPost, "/exports", fmt.Sprintf(`{"imageId": %q}`, ids[0]))
	if status != http.StatusAccepted {
		t.Fatalf("POST /exports: %d %v", status, export)
	}
	functions := children(t, p.Process.Pid)
	if len(functions) == 0 {
		t.Error("no function runs")
	}
	if err := p.stop(t, syscall.SIGTERM); err != nil {
		t.Errorf("stopped by SIGTERM: %v\n%s", err, p.output.String())
	}
	gone(t, functions)
	if _, err := os.Stat(cloud.EnvironmentFile(data)); err == nil {
		t.Error("endpoints.env outlives the stand-in")
	}

	// The export goes on where it was, wherever that was.
	p = run(t, program, data, images)
	poll(t, time.Minute, "the end of an export that outlived a restart", func() bool {
		status, e := p.call(t, http.MethodGet, "/exports/"+export["id"].(string), "")
		if status != http.StatusOK || e["state"] == "failed" {
			t.Fatalf("%d %v", status, e)
		}
		return e["state"] == "completed"
	})

	functions = children(t, p.Process.Pid)
	if len(functions) == 0 {
		t.Error("no function runs")
	}
	p.stop(t, syscall.SIGKILL)
	gone(t, functions)

	// A killed stand-in starts again too.
	p = run(t, program, data, images)
	if status, e := p.call(t, http.MethodGet, "/exports/"+export["id"].(string), ""); status != http.StatusOK || e["state"] != "completed" {
		t.Errorf("after SIGKILL: %d %v", status, e)
	}
	if err := p.stop(t, os.Interrupt); err != nil {
		t.Errorf("stopped by Ctrl-C: %v", err)
	}
}

func TestBadStarts(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]struct {
		o    cloud.Options
		want string
	}{
		"an address that others can reach":                   {cloud.Options{Listen: "0.0.0.0:0", Speed: 1}, "loopback"},
		"a loopback address that MNS's clients do not reach": {cloud.Options{Listen: "[::1]:0", Speed: 1}, "127.0.0.1 alone"},
		"slower than the cloud":                              {cloud.Options{Listen: "127.0.0.1:0", Speed: 0.5}, "-speed is 0.5: it must be 1 or more"},
		"no port":                                            {cloud.Options{Listen: "127.0.0.1", Speed: 1}, "port"},
		"no speed":                                           {cloud.Options{Listen: "127.0.0.1:0"}, "-speed"},
		"no images there":                                    {cloud.Options{Listen: "127.0.0.1:0", Speed: 1, Images: "/nonexistent"}, "images"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o.o.Dir = t.TempDir()
			if o.o.Images == "" {
				o.o.Images = t.TempDir()
			}
			err := serve(t.Context(), o.o)
			if err == nil || !strings.Contains(err.Error(), o.want) {
				t.Errorf("got %v, want something about %q", err, o.want)
			}
		})
	}
}

// TestSecondStart keeps a second stand-in from a folder that is in use, and the
// first one's endpoints.env from the second.
func TestSecondStart(t *testing.T) {
	t.Parallel()
	o := cloud.Options{Dir: t.TempDir(), Images: t.TempDir(), Listen: "127.0.0.1:0", Speed: 1}
	unlock, err := cloud.Lock(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cloud.EnvironmentFile(o.Dir), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := serve(t.Context(), o); err == nil || !strings.Contains(err.Error(), o.Dir+" is in use") {
		t.Errorf("got %v, want that the folder is in use", err)
	}
	if _, err := os.Stat(cloud.EnvironmentFile(o.Dir)); err != nil {
		t.Error(err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	if unlock, err = cloud.Lock(o.Dir); err != nil {
		t.Fatal(err)
	}
	unlock()
}

// children lists the processes that a process started.
func children(t *testing.T, pid int) []int {
	t.Helper()
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, task := range tasks {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name()))
		if err != nil {
			continue // the thread has ended
		}
		for _, f := range strings.Fields(string(text)) {
			n, err := strconv.Atoi(f)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, n)
		}
	}
	return pids
}

// gone waits until none of the processes runs.
func gone(t *testing.T, pids []int) {
	t.Helper()
	for _, pid := range pids {
		poll(t, 10*time.Second, fmt.Sprintf("the end of process %d", pid), func() bool {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			return err != nil || strings.Contains(string(stat), ") Z ")
		})
	}
}

func poll(t *testing.T, limit time.Duration, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !done(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", limit, what)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("the test was ended")
		}
	}
}
