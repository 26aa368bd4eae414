// Command invoke invokes a function of a running stand-in with an event from a
// file, and prints what it answers and logs.
package main

import (
	"bytes"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ecs-image-export/local/fc"
	"ecs-image-export/local/identity"
)

func main() {
	name := flag.String("function", "", "request, poller or catalog")
	event := flag.String("event", "", "file that holds the event")
	data := flag.String("data", ".local", "data folder of the running stand-in")
	flag.Parse()
	if *name == "" || *event == "" {
		fmt.Fprintln(os.Stderr, "usage: make invoke F=catalog E=events/samples/object-created.json")
		os.Exit(2)
	}
	if err := invoke(*name, *event, *data); err != nil {
		fmt.Fprintln(os.Stderr, "invoke:", err)
		os.Exit(1)
	}
}

func invoke(name, event, data string) error {
	payload, err := os.ReadFile(event)
	if err != nil {
		return err
	}
	environment, err := os.ReadFile(filepath.Join(data, "endpoints.env"))
	if err != nil {
		return fmt.Errorf("no stand-in runs here (start it with make run): %w", err)
	}
	endpoints := map[string]string{}
	for line := range strings.Lines(string(environment)) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
		endpoints[k] = v
	}
	// The samples of HTTP events carry a token that no stand-in knows.
	payload = bytes.ReplaceAll(payload, []byte("sample-token"), []byte(endpoints["API_TOKEN"]))
	req, err := http.NewRequest(http.MethodPost, endpoints["API_URL"]+"/2023-03-30/functions/ecs-image-export-"+name+"/invocations", bytes.NewReader(payload))
	if err != nil {
		return err
	}
	req.Header.Set("X-Fc-Log-Type", "Tail")
	credentials := identity.Credentials{AccessKeyID: endpoints["ACCESS_KEY_ID"], AccessKeySecret: endpoints["ACCESS_KEY_SECRET"]}
	if err := fc.Sign(req, credentials, time.Now()); err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	log, err := base64.StdEncoding.DecodeString(resp.Header.Get("X-Fc-Log-Result"))
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%s", log)
	fmt.Printf("%s\n", body)
	if kind := resp.Header.Get("X-Fc-Error-Type"); resp.StatusCode/100 != 2 || kind != "" {
		return fmt.Errorf("%s %s", resp.Status, kind)
	}
	return nil
}
