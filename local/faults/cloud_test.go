package faults_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"ecs-image-export/local/cloud"
	"ecs-image-export/local/cloud/cloudtest"
	"ecs-image-export/local/ecs/sample"
	"ecs-image-export/local/faults"
	"ecs-image-export/shared/ecs"
	"ecs-image-export/shared/mns"
	"ecs-image-export/shared/oss"
	"ecs-image-export/shared/ram"
	"ecs-image-export/shared/rpc"
)

const role = "AliyunECSImageExportDefaultRole"

// standIn is a stand-in cloud with the project's own clients of its services.
type standIn struct {
	t           *testing.T
	cloud       *cloud.Cloud
	environment map[string]string
	image       string

	ecs    *ecs.Client
	ram    *ram.Client
	bucket *oss.Bucket // of the records
	target *oss.Bucket // of the exports
	mns    *mns.Client
	queue  *mns.Queue
	topic  *mns.Topic
}

// start starts one. Tasks take an hour unless told otherwise.
func start(t *testing.T, change ...func(*cloud.Options)) standIn {
	t.Helper()
	images := t.TempDir()
	ids, err := sample.Small(images, 1)
	if err != nil {
		t.Fatal(err)
	}
	o := cloud.Options{Images: images, Speed: 1, TaskLeast: time.Hour}
	for _, f := range change {
		f(&o)
	}
	c := cloudtest.Start(t, o)
	e := cloudtest.Environment(c)
	s := standIn{t: t, cloud: c, environment: e, image: ids[0]}
	credentials := func(context.Context) (rpc.Credentials, error) {
		return rpc.Credentials{ID: e["ACCESS_KEY_ID"], Secret: e["ACCESS_KEY_SECRET"]}, nil
	}
	s.ecs, err = ecs.New(ecs.Config{Region: e["REGION"], Endpoint: e["ECS_ENDPOINT"], Credentials: credentials})
	s.must(err)
	s.ram, err = ram.New(ram.Config{Region: e["REGION"], RAMEndpoint: e["RAM_ENDPOINT"], STSEndpoint: e["STS_ENDPOINT"], Credentials: credentials})
	s.must(err)
	objects, err := oss.New(oss.Config{Region: e["REGION"], Endpoint: e["OSS_ENDPOINT"], PublicEndpoint: e["OSS_ENDPOINT"], Credentials: credentials})
	s.must(err)
	s.bucket, s.target = objects.Bucket(e["RECORDS_BUCKET"]), objects.Bucket(e["EXPORT_BUCKET"])
	s.mns, err = mns.New(mns.Config{Region: e["REGION"], AccountID: e["ACCOUNT_ID"], Endpoint: e["MNS_ENDPOINT"], Credentials: credentials})
	s.must(err)
	s.queue, s.topic = s.mns.Queue(e["TASK_QUEUE"]), s.mns.Topic(e["EVENT_TOPIC"])
	return s
}

func (s standIn) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// call calls the table as a person does with curl.
func (s standIn) call(method, body string) (status int, answer []byte) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.environment["API_URL"]+faults.Path, bytes.NewBufferString(body))
	s.must(err)
	resp, err := http.DefaultClient.Do(req)
	s.must(err)
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	s.must(err)
	return resp.StatusCode, answer
}

// add makes a fault.
func (s standIn) add(fault string) {
	s.t.Helper()
	if status, answer := s.call(http.MethodPost, fault); status != http.StatusCreated {
		s.t.Fatalf("POST %s: %d %s", fault, status, answer)
	}
}

// clear forgets all faults, after each struck as often as it should.
func (s standIn) clear(struck int) {
	s.t.Helper()
	status, answer := s.call(http.MethodGet, "")
	var list struct{ Faults []faults.Entry }
	if err := json.Unmarshal(answer, &list); err != nil || status != http.StatusOK || len(list.Faults) == 0 {
		s.t.Fatalf("GET: %d %s: %v", status, answer, err)
	}
	for _, e := range list.Faults {
		if e.Struck != struck {
			s.t.Errorf("%s %s struck %d of %d calls, want %d", e.Service, e.Action, e.Struck, e.Calls, struck)
		}
	}
	if status, answer := s.call(http.MethodDelete, ""); status != http.StatusNoContent {
		s.t.Fatalf("DELETE: %d %s", status, answer)
	}
}

// strikes waits until a fault has struck.
func (s standIn) strikes() {
	s.t.Helper()
	eventually(s.t, "a strike", func() bool {
		_, answer := s.call(http.MethodGet, "")
		return bytes.Contains(answer, []byte(`"struck": 1`))
	})
}

// export asks for the export of the image.
func (s standIn) export(ctx context.Context) (task string, err error) {
	return s.ecs.ExportImage(ctx, ecs.ExportRequest{ImageID: s.image, Bucket: s.environment["EXPORT_BUCKET"]})
}

// tasks counts the tasks of the image.
func (s standIn) tasks() int {
	s.t.Helper()
	tasks, err := s.ecs.TasksByImage(s.t.Context(), s.image)
	s.must(err)
	return len(tasks)
}

// messages takes what is in the queue out of it.
func (s standIn) messages() []string {
	s.t.Helper()
	var bodies []string
	for {
		got, err := s.queue.Receive(s.t.Context(), 16, 0)
		s.must(err)
		if len(got) == 0 {
			return bodies
		}
		for _, m := range got {
			bodies = append(bodies, m.Body)
			_, err := s.queue.Delete(s.t.Context(), m.Handle)
			s.must(err)
		}
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("the test was ended")
		}
	}
}
