package ecs_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	osssdk "github.com/aliyun/aliyun-oss-go-sdk/oss"

	localecs "ecs-image-export/local/ecs"
	"ecs-image-export/local/ecs/sample"
	"ecs-image-export/local/identity"
	localoss "ecs-image-export/local/oss"
	localram "ecs-image-export/local/ram"
	"ecs-image-export/shared/ecs"
	"ecs-image-export/shared/ram"
	"ecs-image-export/shared/rpc"
)

const (
	account = "1234567890123456"
	region  = "cn-hangzhou"
	bucket  = "image-exports"
)

// closes closes something at the end of the test.
func closes(t *testing.T, c interface{ Close() error }) {
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

// cloud starts the stand-in's RAM, OSS and ECS with two small images, and
// returns clients of the account.
func cloud(t *testing.T) (*ecs.Client, *ram.Client, []string) {
	t.Helper()
	root := identity.Credentials{AccessKeyID: "LTAIroot", AccessKeySecret: "rootsecret"}
	who, err := localram.Open(localram.Config{Dir: t.TempDir(), AccountID: account, Region: region, Root: root})
	if err != nil {
		t.Fatal(err)
	}
	closes(t, who)
	store, err := localoss.Open(localoss.Config{Dir: t.TempDir(), AccountID: account, Region: region, Identities: who})
	if err != nil {
		t.Fatal(err)
	}
	closes(t, store)
	ossServer, ramServer := httptest.NewServer(store), httptest.NewServer(who.RAM())
	t.Cleanup(ossServer.Close)
	t.Cleanup(ramServer.Close)
	objects, err := osssdk.New(ossServer.URL, root.AccessKeyID, root.AccessKeySecret, osssdk.AuthVersion(osssdk.AuthV4), osssdk.Region(region))
	if err != nil {
		t.Fatal(err)
	}
	if err := objects.CreateBucket(bucket); err != nil {
		t.Fatal(err)
	}
	images := t.TempDir()
	ids, err := sample.Small(images, 2)
	if err != nil {
		t.Fatal(err)
	}
	service, err := localecs.Open(localecs.Config{
		Dir: t.TempDir(), Images: images, AccountID: account, Region: region, Identities: who, Roles: who,
		OSSEndpoint: ossServer.URL, Speed: 1e6,
	})
	if err != nil {
		t.Fatal(err)
	}
	closes(t, service)
	ecsServer := httptest.NewServer(service)
	t.Cleanup(ecsServer.Close)

	credentials := func(context.Context) (rpc.Credentials, error) {
		return rpc.Credentials{ID: root.AccessKeyID, Secret: root.AccessKeySecret}, nil
	}
	c, err := ecs.New(ecs.Config{Region: region, Endpoint: ecsServer.URL, Credentials: credentials, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	roles, err := ram.New(ram.Config{Region: region, RAMEndpoint: ramServer.URL, STSEndpoint: ramServer.URL, Credentials: credentials, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return c, roles, ids
}

func authorize(t *testing.T, roles *ram.Client) {
	t.Helper()
	const role = "AliyunECSImageExportDefaultRole"
	_, err := roles.EnsureRole(t.Context(), ram.Role{
		Name:  role,
		Trust: `{"Statement":[{"Action":"sts:AssumeRole","Effect":"Allow","Principal":{"Service":["ecs.aliyuncs.com"]}}],"Version":"1"}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := roles.EnsureAttached(t.Context(), role, ram.System, "AliyunECSImageExportRolePolicy"); err != nil {
		t.Fatal(err)
	}
}

func TestAnExportFromEndToEnd(t *testing.T) {
	t.Parallel()
	c, roles, ids := cloud(t)
	image, err := c.Image(t.Context(), ids[1])
	if err != nil {
		t.Fatal(err)
	}
	var raw map[string]any
	if err := json.Unmarshal(image.Raw, &raw); err != nil || raw["ImageId"] != ids[1] || raw["CreationTime"] == "" {
		t.Errorf("raw image %s: %v", image.Raw, err)
	}
	if image.Status != ecs.ImageAvailable || len(image.Disks) != 2 || image.Disks[0].Role != ecs.SystemDisk || image.Disks[1].Device != "/dev/xvdb" {
		t.Errorf("got %+v", image)
	}
	if _, err := c.Image(t.Context(), "m-none"); !errors.Is(err, ecs.ErrImageNotFound) {
		t.Errorf("no image: %v", err)
	}

	request := ecs.ExportRequest{ImageID: ids[1], Bucket: bucket, Prefix: "demo", Format: "RAW"}
	if _, err := c.ExportImage(t.Context(), request); !errors.Is(err, ecs.ErrRole) {
		t.Errorf("without the role: %v", err)
	}
	authorize(t, roles)
	if _, err := c.ExportImage(t.Context(), ecs.ExportRequest{ImageID: ids[1], Bucket: "no-such-bucket"}); !errors.Is(err, ecs.ErrBucket) {
		t.Errorf("no bucket: %v", err)
	}
	id, err := c.ExportImage(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	detail := await(t, c, id)
	if detail.Status != ecs.TaskFinished || detail.Percent == nil || *detail.Percent != 100 || detail.FinishedAt.IsZero() {
		t.Errorf("got %+v", detail)
	}
	keys := map[string]bool{}
	for _, o := range detail.Operations {
		if o.OSSBucket == bucket {
			keys[o.OSSObject] = true
		}
	}
	for _, key := range []string{"demo_" + ids[1] + "_system.raw.tar.gz", "demo_" + ids[1] + "_data_xvdb.raw.tar.gz"} {
		if !keys[key] {
			t.Errorf("no %s in %+v", key, detail.Operations)
		}
	}
	for name, list := range map[string]func() ([]ecs.Task, error){
		"by id":    func() ([]ecs.Task, error) { return c.Tasks(t.Context(), []string{id, "t-none"}) },
		"by image": func() ([]ecs.Task, error) { return c.TasksByImage(t.Context(), ids[1]) },
	} {
		tasks, err := list()
		if err != nil || len(tasks) != 1 || tasks[0].ID != id || tasks[0].Status != ecs.TaskFinished || tasks[0].Action != "ExportImage" {
			t.Errorf("%s: %+v, %v", name, tasks, err)
		}
	}
	if _, err := c.TaskAttribute(t.Context(), "t-none"); !errors.Is(err, ecs.ErrTaskNotFound) {
		t.Errorf("no task: %v", err)
	}
}

func TestOwnImages(t *testing.T) {
	t.Parallel()
	c, _, ids := cloud(t)
	var got []string
	for page := 1; page <= 3; page++ {
		images, total, err := c.OwnImages(t.Context(), page, 1)
		if err != nil || total != len(ids) {
			t.Fatalf("page %d of %d images: %v", page, total, err)
		}
		for _, i := range images {
			got = append(got, i.ID)
			if i.Progress != "100%" || i.OwnerAlias != "self" || len(i.Raw) == 0 || len(i.Disks) == 0 {
				t.Errorf("got %+v", i)
			}
		}
	}
	slices.Sort(got)
	if d := cmp.Diff(ids, got); d != "" {
		t.Error(d)
	}
}

// await polls until a task has ended.
func await(t *testing.T, c *ecs.Client, id string) ecs.TaskDetail {
	t.Helper()
	deadline, tick := time.After(time.Minute), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for {
		detail, err := c.TaskAttribute(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if detail.Status == ecs.TaskFinished || detail.Status == ecs.TaskFailed {
			return detail
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("task %s has not ended: %+v", id, detail)
		}
	}
}

func TestOneClientForManyGoroutines(t *testing.T) {
	t.Parallel()
	c, roles, ids := cloud(t)
	authorize(t, roles)
	var mu sync.Mutex
	var started []string
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := c.Image(t.Context(), ids[0]); err != nil {
				t.Error(err)
			}
			id, err := c.ExportImage(t.Context(), ecs.ExportRequest{ImageID: ids[0], Bucket: bucket})
			if err != nil && !errors.Is(err, ecs.ErrImageIsExporting) {
				t.Error(err)
			}
			if err == nil {
				mu.Lock()
				started = append(started, id)
				mu.Unlock()
			}
			if _, err := c.TasksByImage(t.Context(), ids[0]); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	tasks, err := c.TasksByImage(t.Context(), ids[0])
	if err != nil || len(tasks) != len(started) || len(started) == 0 {
		t.Errorf("%d tasks, %d started: %v", len(tasks), len(started), err)
	}
}
