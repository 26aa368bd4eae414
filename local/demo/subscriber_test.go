package main

import (
	"testing"

	mns "github.com/aliyun/aliyun-mns-go-sdk"

	"ecs-image-export/local/cloud"
	"ecs-image-export/local/cloud/cloudtest"
	"ecs-image-export/local/ecs/sample"
)

// A subscriber that is slow does not mind that a message has become visible again
// before it was deleted.
func TestSlowSubscriber(t *testing.T) {
	t.Parallel()
	images := t.TempDir()
	if _, err := sample.Small(images, 1); err != nil {
		t.Fatal(err)
	}
	environment := cloudtest.Environment(cloudtest.Start(t, cloud.Options{Images: images, Speed: 1e6}))
	s, err := subscribe(environment)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []string{
		`{"id":"x/2","type":"image-export.completed","subject":"x"}`, `{"id":"x/1","type":"image-export.requested","subject":"x"}`,
	} {
		if _, err := s.queue.SendMessage(mns.MessageSendRequest{MessageBody: e, Priority: 8}); err != nil {
			t.Fatal(err)
		}
	}
	events, err := s.receive(t.Context(), "x")
	if err != nil || len(events) == 0 || events[len(events)-1].ID != "x/2" {
		t.Errorf("%v, %v", events, err)
	}
}
