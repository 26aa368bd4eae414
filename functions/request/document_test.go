package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"ecs-image-export/local/cloud"
)

// TestRefusalsAreDocumented wants every answer to a call that is wrong in a common
// way to be in the document of its operation.
func TestRefusalsAreDocumented(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, cloud.Options{Speed: 1000})
	b.config.AllowRoleSetup = true
	api := b.instance(t)
	made := api.create(t, order("imageId", b.images[0]))
	var document struct {
		Paths map[string]map[string]struct{ Responses map[string]json.RawMessage }
	}
	api.do(t, "GET", "/openapi.json", "").into(t, &document)
	calls := 0
	for path, methods := range document.Paths {
		target := strings.NewReplacer("{id}", made.ID, "{device}", "xvda").Replace(path)
		for method, operation := range methods {
			answers := map[string]answer{
				"an unknown query": api.do(t, strings.ToUpper(method), target+"?unknown=1", ""),
				"a bad role name":  api.do(t, strings.ToUpper(method), target+"?roleName=%20", ""),
			}
			if method == "post" {
				answers["bad JSON"] = api.do(t, "POST", target, "{")
				answers["text"] = api.do(t, "POST", target, "x", "Content-Type", "text/plain")
				answers["a large body"] = api.do(t, "POST", target, strings.Repeat(" ", maxBody+1))
			}
			for name, a := range answers {
				calls++
				_, documented := operation.Responses[fmt.Sprint(a.status)]
				_, open := operation.Responses["default"]
				if a.status < 400 && !documented || a.status >= 400 && !documented && !open {
					t.Errorf("%s %s with %s: %d is not in the document", method, path, name, a.status)
				}
			}
		}
	}
	if calls < 30 {
		t.Errorf("%d calls", calls)
	}
}
