package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"ecs-image-export/local/cloud"
	"ecs-image-export/shared/export"
)

// TestServiceFails is the table of what a caller is told when a service that the call
// needs does not do its part: to make the call again where that may help, and
// otherwise what somebody has to do about the deployment.
func TestServiceFails(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, cloud.Options{Speed: 1000, Tasks: 1})
	api := b.instance(t)
	sum := api.create(t, order("imageId", b.images[0]))
	b.follow(t, sum.ID, func(x export.Export) bool { return x.State.Terminal() })
	records := b.environment["RECORDS_BUCKET"]
	const rights = "Give the function's role the policy"
	for _, test := range []struct {
		method, target, body string
		call                 string // that is answered
		status               int
		code                 string
		remedy               string // blank: the call may be made again
	}{
		{"GET", "/images", "", "ecs DescribeImages", 403, "Forbidden.RAM", rights},
		{"GET", "/images", "", "ecs DescribeImages", 400, "InvalidSecurityToken.Malformed", rights},
		{"GET", "/images", "", "ecs DescribeImages", 403, "Forbidden.Haunted", rights},
		{"GET", "/images", "", "ecs DescribeImages", 418, "Haunted", "troubleshoot?q=Haunted"},
		{"GET", "/images", "", "ecs DescribeImages", 400, "Throttling.User", ""},
		{"GET", "/images", "", "ecs DescribeImages", 503, "ServiceUnavailable", ""},
		{"POST", "/exports/check", order("imageId", b.images[0]), "ecs DescribeTasks", 400, "InvalidRegionId.NotFound", "Correct REGION"},
		{"POST", "/exports/check", order("imageId", b.images[0]), "ecs DescribeTasks", 409, "OperationConflict", ""},
		{"POST", "/exports", order("imageId", b.images[0]), "oss PUT " + records + "/active/", 404, "NoSuchBucket", "Create it in the region"},
		{"GET", "/exports", "", "oss GET " + records, 403, "AccessDenied", rights},
		{"GET", "/exports", "", "oss GET " + records, 429, "Haunted", ""},
		{"GET", "/exports/" + sum.ID, "", "oss GET " + records, 501, "NotImplemented", "show the code and the request id"},
		{"GET", "/exports/" + sum.ID, "", "oss GET " + records, 502, "", ""},
		{"GET", "/exports/" + sum.ID + "/disks/xvda/download", "", "sts AssumeRole", 503, "ServiceUnavailable", ""},
		{"GET", "/exports/" + sum.ID + "/disks/xvda/download", "", "sts AssumeRole", 403, "NoPermission", rights},
		{"GET", "/exports/" + sum.ID + "/disks/xvda/download", "", "sts AssumeRole", 404, "EntityNotExist.Role", "DOWNLOAD_ROLE_ARN"},
	} {
		t.Run(test.method+" "+test.target+" "+test.code, func(t *testing.T) {
			service, _, _ := strings.Cut(test.call, " ")
			b.meddle(func(call string, w http.ResponseWriter) bool {
				if !strings.HasPrefix(call, test.call) {
					return false
				}
				w.Header().Set("X-Oss-Request-Id", "r-1")
				w.WriteHeader(test.status)
				if service == "oss" {
					fmt.Fprintf(w, "<Error><Code>%s</Code><Message>no</Message><RequestId>r-1</RequestId></Error>", test.code)
				} else {
					fmt.Fprintf(w, `{"Code":%q,"Message":"no","RequestId":"r-1"}`, test.code)
				}
				return true
			})
			a := api.do(t, test.method, test.target, test.body)
			p := a.problem(t)
			if test.code != "" && !strings.Contains(p.Detail, "answered "+test.code+" (request r-1).") {
				t.Errorf("it does not say what was answered: %s", p.Detail)
			}
			again := strings.Contains(p.Detail, "again.") && !strings.HasSuffix(p.Detail, "run the set-up again.")
			switch lasting := test.remedy != ""; {
			case lasting && (p.Status != http.StatusInternalServerError || p.Code != codeRefused || a.header["Retry-After"] != "" || again || !strings.Contains(p.Detail, test.remedy)):
				t.Errorf("lasting: %v %+v", a.header, p)
			case !lasting && (p.Status != http.StatusServiceUnavailable || p.Code != codeUnavailable || a.header["Retry-After"] == "" || !again):
				t.Errorf("passing: %v %+v", a.header, p)
			}
		})
	}
	// What a bucket with versions makes of a claim is no claim.
	b.meddle(func(call string, w http.ResponseWriter) bool {
		if strings.HasPrefix(call, "oss PUT "+records+"/active/") {
			w.Header().Set("X-Oss-Version-Id", "v-1")
			return true
		}
		return false
	})
	a := api.do(t, "POST", "/exports", order("imageId", b.images[0]))
	if p := a.problem(t); p.Status != http.StatusInternalServerError || p.Code != codeRefused || a.header["Retry-After"] != "" || !strings.Contains(p.Detail, "RECORDS_BUCKET") {
		t.Errorf("a bucket with versions: %v %+v", a.header, p)
	}
}
