package fc

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// parent is this test binary as another process: it runs functions until it is
// killed, with an invocation in its queue that can't run yet. It prints the
// processes of two instances.
func parent(dir string) {
	root = dir
	t := &dying{}
	c := openIn(t, filepath.Join(dir, "data"), "one\n---\ntwo\n---\nthree\nrole: nobody", nil)
	note := event(t, map[string]string{"do": "note", "at": filepath.Join(dir, "ran")})
	if err := c.enqueue(pending{ID: "1", Function: "three", Payload: []byte(note), Source: "test"}); err != nil {
		panic(err)
	}
	for _, name := range []string{"one", "two"} {
		out := c.invoke(context.Background(), c.byName[name], request{id: "x", payload: []byte(`{"do":"pid"}`)})
		fmt.Printf("%s\n", out.payload)
	}
	// Give the scheduler every chance to end the thread that started them.
	for range 100 {
		go runtime.Gosched()
	}
	select {}
}

// dying is enough of a test for openIn in a process that no test runs in.
type dying struct{ testing.TB }

func (*dying) Helper()                      {}
func (*dying) Cleanup(func())               {}
func (*dying) Fatal(args ...any)            { panic(fmt.Sprint(args...)) }
func (*dying) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }

// A stand-in killed by SIGKILL leaves no function process behind, and what it
// accepted runs after the next start.
func TestKilled(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ties a process to its parent")
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "code"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(root, "code", "main"), filepath.Join(dir, "code", "main")); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self)
	c.Env = append(os.Environ(), "FC_TEST_PARENT="+dir)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var pids []string
	for s := bufio.NewScanner(out); len(pids) < 2 && s.Scan(); {
		pids = append(pids, s.Text())
	}
	for _, pid := range pids {
		if !runs(pid) {
			t.Errorf("process %s does not run", pid)
		}
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if len(pids) != 2 {
		t.Fatalf("processes %v", pids)
	}
	for _, pid := range pids {
		eventually(t, "process "+pid+" ends", func() bool { return !runs(pid) })
	}
	openIn(t, filepath.Join(dir, "data"), "three", nil)
	eventually(t, "what was accepted runs", func() bool { return len(readLines(t, filepath.Join(dir, "ran"))) == 1 })
}

// runs says whether a process is there and not merely waiting to be reaped.
func runs(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}
