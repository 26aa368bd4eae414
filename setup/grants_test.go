package main

import (
	"slices"
	"strings"
	"testing"
)

// What the roles may do and what not, in the stand-in's reading of the policies. The
// letters are the functions: request, poller, catalog.
func TestFunctionsMayDoWhatTheyNeedAndNoMore(t *testing.T) {
	t.Parallel()
	s := start(t)
	if _, err := s.run(t); err != nil {
		t.Fatal(err)
	}
	const (
		oss   = "acs:oss:*:" + account + ":"
		queue = "acs:mns:" + region + ":" + account + ":/queues/"
		topic = "acs:mns:" + region + ":" + account + ":/topics/"
		image = "acs:ecs:" + region + ":" + account + ":image/m-bp1"
	)
	may := map[byte]func(string, string) bool{}
	for _, name := range []string{"request", "poller", "catalog"} {
		may[name[0]] = s.may(t, "fc.aliyuncs.com", "ecs-image-export-"+name)
	}
	for _, test := range []struct{ action, resource, who string }{
		{"oss:GetObject", oss + "image-export-records/exports/y7k3m9x2q4r8w", "rpc"},
		{"oss:PutObject", oss + "image-export-records/exports/y7k3m9x2q4r8w", "rpc"},
		{"oss:DeleteObject", oss + "image-export-records/exports/y7k3m9x2q4r8w", ""},
		{"oss:PutObject", oss + "image-export-records/active/y7k3m9x2q4r8w", "rpc"},
		{"oss:DeleteObject", oss + "image-export-records/active/y7k3m9x2q4r8w", "rpc"},
		{"oss:PutObject", oss + "image-export-records/queue/20260102T030405.678Z-y7k3m9x2q4r8w", "rpc"},
		{"oss:DeleteObject", oss + "image-export-records/queue/.hold", "rpc"},
		{"oss:GetObject", oss + "image-export-records/slots/000000000001", "rpc"},
		{"oss:DeleteObject", oss + "image-export-records/slots/000000000001", "rpc"},
		{"oss:PutObject", oss + "image-export-records/by-image/m-bp1/y7k3m9x2q4r8w", "r"},
		{"oss:PutObject", oss + "image-export-records/idempotency/abc", "r"},
		{"oss:GetObject", oss + "image-export-records/by-caller/abc/1", "r"},
		{"oss:DeleteObject", oss + "image-export-records/idempotency/abc", ""},
		{"oss:PutObject", oss + "image-export-records/progress/y7k3m9x2q4r8w/latest", "r"},
		{"oss:PutObject", oss + "image-export-records/sweep-cursor", "p"},
		{"oss:PutObject", oss + "image-export-records/parked/m", "p"},
		{"oss:PutObject", oss + "image-export-records/unmanaged/abc", "c"},
		{"oss:GetObject", oss + "image-export-records/unmanaged/abc", "c"},
		{"oss:PutObject", oss + "image-export-records/other", ""},
		{"oss:ListObjects", oss + "image-export-records", "rpc"},
		{"oss:PutBucketLifecycle", oss + "image-export-records", ""},
		{"oss:GetBucketInfo", oss + "image-exports", "r"},
		{"oss:ListObjects", oss + "image-exports", "rpc"},
		{"oss:ListMultipartUploads", oss + "more-exports", "rpc"},
		{"oss:GetObject", oss + "more-exports/demo_m-bp1_system.raw.tar.gz", "rpc"},
		{"oss:PutObject", oss + "image-exports/demo_m-bp1_manifest.json", "rpc"},
		{"oss:PutObject", oss + "image-exports/demo_m-bp1_system.raw.tar.gz", ""},
		{"oss:DeleteObject", oss + "image-exports/demo_m-bp1_system.raw.tar.gz", "rpc"},
		{"oss:AbortMultipartUpload", oss + "image-exports/demo_m-bp1_system.raw.tar.gz", "rpc"},
		{"oss:DeleteObject", oss + "image-exports/report.pdf", ""},
		{"oss:GetObject", oss + "other-bucket/x", ""},
		{"ecs:DescribeImages", "acs:ecs:" + region + ":" + account + ":image/*", "r"},
		{"ecs:ExportImage", image, "rpc"},
		{"ecs:DescribeTasks", "*", "rpc"},
		{"ecs:DescribeTaskAttribute", "*", "rpc"},
		{"ecs:CancelTask", "*", "rpc"},
		{"ecs:DeleteImage", image, ""},
		{"ram:PassRole", "acs:ram:*:" + account + ":role/AliyunECSImageExportDefaultRole", "rpc"},
		{"ram:PassRole", "acs:ram:*:" + account + ":role/admin", ""},
		{"ram:CreateRole", "acs:ram:*:" + account + ":role/AliyunECSImageExportDefaultRole", ""},
		{"ram:AttachPolicyToRole", "acs:ram:*:" + account + ":role/AliyunECSImageExportDefaultRole", ""},
		{"ram:GetRole", "acs:ram:*:" + account + ":role/AliyunECSImageExportDefaultRole", "r"},
		{"ram:GetRole", "acs:ram:*:" + account + ":role/admin", ""},
		{"ram:ListPoliciesForRole", "acs:ram:*:" + account + ":role/AliyunECSImageExportDefaultRole", "r"},
		{"ram:GetPolicy", "acs:ram:*:" + account + ":policy/any", "r"},
		{"ram:GetPolicyVersion", "acs:ram:*:system:policy/AliyunOSSFullAccess", "r"},
		{"ram:CreatePolicyVersion", "acs:ram:*:" + account + ":policy/any", ""},
		{"sts:AssumeRole", "acs:ram:*:" + account + ":role/ecs-image-export-download", "r"},
		{"sts:AssumeRole", "acs:ram:*:" + account + ":role/admin", ""},
		{"mns:SendMessage", queue + "image-export-tasks/messages", "rpc"},
		{"mns:SendMessage", queue + "other/messages", ""},
		{"mns:ReceiveMessage", queue + "image-export-tasks/messages", "p"},
		{"mns:DeleteMessage", queue + "image-export-tasks/messages", "p"},
		{"mns:DeleteQueue", queue + "image-export-tasks", ""},
		{"mns:PublishMessage", topic + "image-export-events/messages", "rpc"},
		{"mns:Subscribe", topic + "image-export-events/subscriptions/x", ""},
		{"fc:InvokeFunction", "acs:fc:" + region + ":" + account + ":functions/ecs-image-export-catalog", ""},
	} {
		for letter, allows := range may {
			if got, want := allows(test.action, test.resource), slices.Contains([]byte(test.who), letter); got != want {
				t.Errorf("%c: %s on %s is %v, want %v", letter, test.action, test.resource, got, want)
			}
		}
	}

	invoke := s.may(t, "oss.aliyuncs.com", "aliyunosseventnotificationrole")
	for function, want := range map[string]bool{"ecs-image-export-catalog": true, "ecs-image-export-catalog/LATEST": true, "ecs-image-export-poller": false} {
		if got := invoke("fc:InvokeFunction", "acs:fc:"+region+":"+account+":functions/"+function); got != want {
			t.Errorf("OSS invokes %s: %v", function, got)
		}
	}
	export := s.may(t, "ecs.aliyuncs.com", "AliyunECSImageExportDefaultRole")
	if !export("oss:PutObject", oss+"image-exports/x") || export("oss:ListObjects", oss+"image-exports") {
		t.Error("the export role has other rights than its system policy")
	}
	for service, role := range map[string]string{"oss.aliyuncs.com": "ecs-image-export-request", "fc.aliyuncs.com": "ecs-image-export-download"} {
		if _, err := s.ram.AssumeAs(t.Context(), service, role, "test", 0); err == nil {
			t.Errorf("%s may take %s", service, role)
		}
	}
}

// Where the deployment allows it, the request function may make the export role and
// give it what exports need: no other role, and nothing else.
func TestRoleSetupIsGrantedWhereItIsAllowed(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.cfg.AllowRoleSetup = true
	lines, err := s.run(t)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(lines, "\n"); !strings.Contains(got, made+" grant ecs-image-export-request ecs-image-export-role-setup") {
		t.Errorf("no grant in\n%s", got)
	}
	may := s.may(t, "fc.aliyuncs.com", "ecs-image-export-request")
	for _, test := range []struct {
		action, resource string
		want             bool
	}{
		{"ram:CreateRole", account + ":role/*", true},
		{"ram:AttachPolicyToRole", account + ":role/AliyunECSImageExportDefaultRole", true},
		{"ram:AttachPolicyToRole", account + ":role/admin", false},
		{"ram:AttachPolicyToRole", "system:policy/AliyunECSImageExportRolePolicy", true},
		{"ram:AttachPolicyToRole", "system:policy/AdministratorAccess", false},
		{"ram:UpdateRole", account + ":role/AliyunECSImageExportDefaultRole", false},
	} {
		if got := may(test.action, "acs:ram:*:"+test.resource); got != test.want {
			t.Errorf("%s on %s is %v", test.action, test.resource, got)
		}
	}
	if s.may(t, "fc.aliyuncs.com", "ecs-image-export-poller")("ram:CreateRole", "acs:ram:*:"+account+":role/*") {
		t.Error("the poller may make roles")
	}
}

func TestPoliciesAreShortEnough(t *testing.T) {
	t.Parallel()
	// RAM takes 6144 characters of a custom policy.
	cfg := Config{AllowRoleSetup: true, Region: "ap-southeast-1", AccountID: account, RecordsBucket: strings.Repeat("r", 63), TaskQueue: "image-export-tasks",
		EventTopic: "image-export-events", ExportRole: "AliyunECSImageExportDefaultRole", DownloadRole: "ecs-image-export-download"}
	for range 5 {
		cfg.ExportBuckets = append(cfg.ExportBuckets, strings.Repeat("e", 63))
	}
	roles, err := loadRoles("../docs/policies", cfg.values())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range roles {
		for _, p := range r.Policies {
			if n := len(p.Document); n > 6144 {
				t.Errorf("%s has %d characters with five buckets", p.Name, n)
			}
		}
	}
}
