package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"
)

// api is the system's HTTP API.
type api struct{ url, token string }

// export is what the API answers, as far as the demo shows it.
type export struct {
	ID       string `json:"id"`
	State    string `json:"state"`
	TaskID   string `json:"taskId"`
	Bucket   string `json:"bucket"`
	Format   string `json:"format"`
	Progress *int   `json:"progress"`
	Failure  struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"failure"`
	Disks []disk `json:"disks"`
}

type disk struct {
	Role    string `json:"role"`
	Device  string `json:"device"`
	SizeGiB int    `json:"sizeGiB"`
	Key     string `json:"key"`
	Size    int64  `json:"size"`
	CRC64   string `json:"crc64"`
}

// call makes one call and decodes its answer, or returns what the problem
// document says.
func (a api) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.url+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s%s", method, path, resp.Status, reasons(b))
	}
	return json.Unmarshal(b, out)
}

// reasons are those of a problem document, one a line.
func reasons(body []byte) string {
	var problem struct {
		Detail string
		Errors []struct{ Severity, Message, Code string }
	}
	if json.Unmarshal(body, &problem) != nil || problem.Detail == "" {
		return "\n" + string(body)
	}
	if len(problem.Errors) == 0 {
		return ": " + problem.Detail
	}
	var lines strings.Builder
	for _, e := range problem.Errors {
		lines.WriteString("\n   ")
		if e.Severity != "" {
			lines.WriteString(e.Severity + ": ")
		}
		lines.WriteString(e.Message)
		if e.Code != "" {
			lines.WriteString(" (" + e.Code + ")")
		}
	}
	return lines.String()
}

func (a api) submit(ctx context.Context, imageID, format string) (e export, err error) {
	return e, a.call(ctx, http.MethodPost, "/exports", map[string]string{"imageId": imageID, "prefix": "Demo", "format": format}, &e)
}

// follow shows the progress until the export has ended.
func (a api) follow(ctx context.Context, id string) (e export, err error) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	last := ""
	for {
		if err := a.call(ctx, http.MethodGet, "/exports/"+id, nil, &e); err != nil {
			return e, err
		}
		now := e.State
		if e.Progress != nil {
			now += fmt.Sprintf(" %d%%", *e.Progress)
		}
		if now != last {
			step("%s", now)
			last = now
		}
		switch e.State {
		case "completed", "failed", "canceled", "abandoned", "deleted":
			return e, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return e, ctx.Err()
		}
	}
}

// download opens the object of a disk by the link that the API hands out.
func (a api) download(ctx context.Context, id string, d disk) (io.ReadCloser, error) {
	link, err := a.link(ctx, "/exports/"+id+"/disks/"+strings.TrimPrefix(d.Device, "/dev/")+"/download")
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		b, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return nil, fmt.Errorf("download: %s\n%s", resp.Status, b)
	}
	return resp.Body, nil
}

// link asks the API for a signed link. The token is for the API alone, so the
// redirect is not followed with it.
func (a api) link(ctx context.Context, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url+path, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusFound {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return "", fmt.Errorf("%s: %s\n%s", path, resp.Status, b)
	}
	return resp.Header.Get("Location"), nil
}

func printCatalog(e export) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "   DISK\tDEVICE\tSIZE\tOBJECT IN "+e.Bucket+"\tBYTES\tCRC-64")
	for _, d := range e.Disks {
		fmt.Fprintf(w, "   %s\t%s\t%d GiB\t%s\t%d\t%s\n", d.Role, d.Device, d.SizeGiB, d.Key, d.Size, d.CRC64)
	}
	w.Flush()
}
