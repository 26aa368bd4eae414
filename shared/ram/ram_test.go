package ram_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ecs-image-export/local/identity"
	localram "ecs-image-export/local/ram"
	"ecs-image-export/shared/ram"
	"ecs-image-export/shared/rpc"
)

const account = "1234567890123456"

const (
	trust      = `{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"RAM":["acs:ram::` + account + `:root"]}}]}`
	otherTrust = `{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":["fc.aliyuncs.com"]}}]}`
	read       = `{"Version":"1","Statement":[{"Effect":"Allow","Action":["oss:GetObject"],"Resource":"*"}]}`
)

// open starts the stand-in's RAM and returns clients for the account and for a
// user.
func open(t *testing.T) (account_, user *ram.Client, service *localram.Service) {
	t.Helper()
	root := identity.Credentials{AccessKeyID: "LTAIroot", AccessKeySecret: "rootsecret"}
	admin := identity.Credentials{AccessKeyID: "LTAIadmin", AccessKeySecret: "adminsecret"}
	s, err := localram.Open(localram.Config{
		Dir: t.TempDir(), AccountID: account, Region: "cn-hangzhou", Root: root,
		Users: []localram.User{{Name: "admin", Credentials: admin, Policies: []string{"AdministratorAccess"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ramServer, stsServer := httptest.NewServer(s.RAM()), httptest.NewServer(s.STS())
	t.Cleanup(func() {
		ramServer.Close()
		stsServer.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	as := func(who identity.Credentials) *ram.Client {
		c, err := ram.New(ram.Config{
			Region: "cn-hangzhou", RAMEndpoint: ramServer.URL, STSEndpoint: stsServer.URL,
			Credentials: func(context.Context) (rpc.Credentials, error) {
				return rpc.Credentials{ID: who.AccessKeyID, Secret: who.AccessKeySecret}, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	return as(root), as(admin), s
}

func TestEnsureRole(t *testing.T) {
	t.Parallel()
	c, _, _ := open(t)
	want := ram.Role{Name: "Worker", Description: "d", Trust: trust, MaxSession: 2 * time.Hour}
	for range 2 {
		got, err := c.EnsureRole(t.Context(), want)
		if err != nil {
			t.Fatal(err)
		}
		full := want
		full.ARN = "acs:ram::" + account + ":role/Worker"
		if d := cmp.Diff(full, got); d != "" {
			t.Error(d)
		}
	}
	// Another order of keys is the same policy; no session means any.
	same := ram.Role{Name: "Worker", Trust: `{"Statement":[{"Principal":{"RAM":["acs:ram::` + account + `:root"]},"Action":"sts:AssumeRole","Effect":"Allow"}], "Version":"1"}`}
	if got, err := c.EnsureRole(t.Context(), same); err != nil || got.Trust != trust || got.MaxSession != 2*time.Hour {
		t.Errorf("got %+v, %v", got, err)
	}
	got, err := c.EnsureRole(t.Context(), ram.Role{Name: "Worker", Trust: otherTrust, MaxSession: time.Hour})
	if err != nil || got.Trust != otherTrust || got.MaxSession != time.Hour {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err = c.Role(t.Context(), "Worker"); err != nil || got.Trust != otherTrust {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestEnsurePolicyAndAttached(t *testing.T) {
	t.Parallel()
	c, user, service := open(t)
	if _, err := c.EnsureRole(t.Context(), ram.Role{Name: "worker", Trust: trust}); err != nil {
		t.Fatal(err)
	}
	// More versions than a policy may have.
	for i := range 8 {
		document := fmt.Sprintf(`{"Version":"1","Statement":[{"Effect":"Allow","Action":"oss:GetObject","Resource":"acs:oss:*:*:b%d/*"}]}`, i)
		for range 2 {
			if err := c.EnsurePolicy(t.Context(), "p", "d", document); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 2 {
		for _, p := range [][2]string{{ram.Custom, "p"}, {ram.System, "AliyunECSImageExportRolePolicy"}} {
			if err := c.EnsureAttached(t.Context(), "worker", p[0], p[1]); err != nil {
				t.Fatal(err)
			}
		}
	}
	attached, err := c.Attached(t.Context(), "worker")
	if d := cmp.Diff([]string{"Custom/p", "System/AliyunECSImageExportRolePolicy"}, attached); err != nil || d != "" {
		t.Error(err, d)
	}
	if err := c.EnsureAttached(t.Context(), "worker", ram.Custom, "none"); !errors.Is(err, ram.ErrNotFound) {
		t.Errorf("no policy: %v", err)
	}
	if err := c.EnsurePolicy(t.Context(), "p", "d", `{}`); err == nil {
		t.Error("took a document that is no policy")
	}

	got, err := user.AssumeRole(t.Context(), "acs:ram::"+account+":role/worker", "session", 15*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(got.Expires); left < 14*time.Minute || left > 15*time.Minute {
		t.Errorf("expires in %v", left)
	}
	id, err := service.Identify(got.ID, got.Token)
	if err != nil || id.AccessKeySecret != got.Secret || !id.Allows("oss:GetObject", "acs:oss:*:"+account+":b7/k") {
		t.Errorf("got %+v, %v", id, err)
	}
}

func TestAssumeRoleRefusals(t *testing.T) {
	t.Parallel()
	c, user, _ := open(t)
	if _, err := c.EnsureRole(t.Context(), ram.Role{Name: "service", Trust: otherTrust}); err != nil {
		t.Fatal(err)
	}
	arn := "acs:ram::" + account + ":role/"
	if _, err := c.AssumeRole(t.Context(), arn+"service", "session", 0); !errors.Is(err, ram.ErrForbidden) {
		t.Errorf("the account: %v", err)
	}
	if _, err := user.AssumeRole(t.Context(), arn+"service", "session", 0); !errors.Is(err, ram.ErrForbidden) {
		t.Errorf("not trusted: %v", err)
	}
	if _, err := user.AssumeRole(t.Context(), arn+"none", "session", 0); !errors.Is(err, ram.ErrNotFound) {
		t.Errorf("no role: %v", err)
	}
	if _, err := c.Role(t.Context(), "none"); !errors.Is(err, ram.ErrNotFound) {
		t.Errorf("no role: %v", err)
	}
}

func TestManyEnsureAtOnce(t *testing.T) {
	t.Parallel()
	c, _, _ := open(t)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := c.EnsureRole(t.Context(), ram.Role{Name: "r", Trust: trust}); err != nil {
				t.Error(err)
			}
			if err := c.EnsurePolicy(t.Context(), "p", "", read); err != nil {
				t.Error(err)
			}
			if err := c.EnsureAttached(t.Context(), "r", ram.Custom, "p"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got, err := c.Attached(t.Context(), "r"); err != nil || len(got) != 1 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestDocument(t *testing.T) {
	t.Parallel()
	c, _, _ := open(t)
	for _, text := range []string{read, strings.Replace(read, "GetObject", "PutObject", 1)} {
		if err := c.EnsurePolicy(t.Context(), "p", "d", text); err != nil {
			t.Fatal(err)
		}
		if got, err := c.Document(t.Context(), ram.Custom, "p"); got != text || err != nil {
			t.Errorf("got %s, %v", got, err)
		}
	}
	if got, err := c.Document(t.Context(), ram.System, "AliyunECSImageExportRolePolicy"); !strings.Contains(got, "oss:PutObject") || err != nil {
		t.Errorf("got %s, %v", got, err)
	}
	if _, err := c.Document(t.Context(), ram.System, "p"); !errors.Is(err, ram.ErrNotFound) {
		t.Errorf("no such policy: %v", err)
	}
}

// GetPolicy names the version in force, and did not always bring its document.
func TestDocumentOfAVersion(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch q := r.URL.Query(); q.Get("Action") + q.Get("VersionId") {
		case "GetPolicy":
			_, _ = io.WriteString(w, `{"RequestId":"R","Policy":{"PolicyName":"p","PolicyType":"Custom","DefaultVersion":"v7"}}`)
		case "GetPolicyVersionv7":
			_, _ = io.WriteString(w, `{"RequestId":"R","PolicyVersion":{"VersionId":"v7","IsDefaultVersion":true,"PolicyDocument":"the text"}}`)
		default:
			t.Errorf("asked for %v", q)
		}
	}))
	t.Cleanup(server.Close)
	c, err := ram.New(ram.Config{Region: "cn-hangzhou", RAMEndpoint: server.URL, Credentials: func(context.Context) (rpc.Credentials, error) {
		return rpc.Credentials{ID: "id", Secret: "secret"}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Document(t.Context(), ram.Custom, "p"); got != "the text" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestCreateRoleLeavesAnotherAsItIs(t *testing.T) {
	t.Parallel()
	c, _, _ := open(t)
	if _, err := c.CreateRole(t.Context(), ram.Role{Name: "r", Trust: trust}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateRole(t.Context(), ram.Role{Name: "R", Trust: otherTrust}); !errors.Is(err, ram.ErrExists) {
		t.Errorf("the same name in other letters: %v", err)
	}
	if got, err := c.Role(t.Context(), "r"); err != nil || got.Trust != trust {
		t.Errorf("got %+v, %v", got, err)
	}
}
