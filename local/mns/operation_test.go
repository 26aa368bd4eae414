package mns

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every call is known by the names of its operation, and every name is one of
// some call.
func TestOperation(t *testing.T) {
	t.Parallel()
	s := &Service{}
	names := map[string]bool{}
	for _, test := range []struct {
		method, path, body string
		want               []string
	}{
		{"GET", "/queues", "", []string{"ListQueue"}},
		{"PUT", "/queues/q", "x", []string{"CreateQueue"}},
		{"PUT", "/queues/q?metaoverride=true", "x", []string{"SetQueueAttributes"}},
		{"GET", "/queues/q", "", []string{"GetQueueAttributes"}},
		{"DELETE", "/queues/q", "", []string{"DeleteQueue"}},
		{"POST", "/queues/q/messages", "x", []string{"SendMessage", "BatchSendMessage"}},
		{"GET", "/queues/q/messages?waitseconds=1", "", []string{"ReceiveMessage"}},
		{"GET", "/queues/q/messages?numOfMessages=16", "", []string{"ReceiveMessage", "BatchReceiveMessage"}},
		{"GET", "/queues/q/messages?peekonly=true&numOfMessages=2", "", []string{"PeekMessage", "BatchPeekMessage"}},
		{"DELETE", "/queues/q/messages?ReceiptHandle=h", "", []string{"DeleteMessage"}},
		{"DELETE", "/queues/q/messages", "x", []string{"DeleteMessage", "BatchDeleteMessage"}},
		{"PUT", "/queues/q/messages?ReceiptHandle=h&VisibilityTimeout=1", "", []string{"ChangeMessageVisibility"}},
		{"GET", "/topics", "", []string{"ListTopic"}},
		{"PUT", "/topics/t", "x", []string{"CreateTopic"}},
		{"PUT", "/topics/t?metaoverride=true", "x", []string{"SetTopicAttributes"}},
		{"GET", "/topics/t", "", []string{"GetTopicAttributes"}},
		{"DELETE", "/topics/t", "", []string{"DeleteTopic"}},
		{"POST", "/1.mns.cn-hangzhou.aliyuncs.com/topics/t/messages", "x", []string{"PublishMessage"}},
		{"GET", "/topics/t/subscriptions", "", []string{"ListSubscriptionByTopic"}},
		{"PUT", "/topics/t/subscriptions/s", "x", []string{"Subscribe"}},
		{"PUT", "/topics/t/subscriptions/s?metaoverride=true", "x", []string{"SetSubscriptionAttributes"}},
		{"GET", "/topics/t/subscriptions/s", "", []string{"GetSubscriptionAttributes"}},
		{"DELETE", "/topics/t/subscriptions/s", "", []string{"Unsubscribe"}},
		{"POST", "/commonbuy/openservice", "", []string{"OpenService"}},
		{"PATCH", "/queues/q", "", nil},
		{"GET", "/nothing", "", nil},
	} {
		got := s.Operation(httptest.NewRequest(test.method, test.path, strings.NewReader(test.body)))
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", test.method, test.path, diff)
		}
		for _, name := range got {
			names[name] = true
			if !slices.Contains(s.Operations(), name) {
				t.Errorf("%s is no name of an operation", name)
			}
		}
	}
	for _, name := range s.Operations() {
		if !names[name] {
			t.Errorf("no call is %s", name)
		}
	}
}
