package mns

import (
	"math"
	"strings"
	"testing"
	"time"

	ali_mns "github.com/aliyun/aliyun-mns-go-sdk"

	"ecs-image-export/local/identity"
)

// noLimit keeps the SDK's own rate limit, which races and stalls, out of it.
const noLimit = math.MaxInt32

// sdk gives the vendor's client of the server behind c, in the one form in
// which it can reach a local server.
func sdk(c *client, key, secret, token string) ali_mns.MNSClient {
	return ali_mns.NewAliMNSClientWithConfig(ali_mns.AliMNSClientConfig{
		EndPoint:        strings.Replace(c.url, "127.0.0.1", "localhost", 1) + "/" + account + ".mns." + region + ".aliyuncs.com",
		AccessKeyId:     key,
		AccessKeySecret: secret,
		Token:           token,
	})
}

// sdkReceive makes a single receive of the channel-based call.
func sdkReceive(q ali_mns.AliMNSQueue, wait ...int64) (ali_mns.MessageReceiveResponse, error) {
	answers, errs := make(chan ali_mns.MessageReceiveResponse, 1), make(chan error, 1)
	q.ReceiveMessage(answers, errs, wait...)
	select {
	case m := <-answers:
		return m, nil
	case err := <-errs:
		return ali_mns.MessageReceiveResponse{}, err
	}
}

func TestGoSDKQueues(t *testing.T) {
	t.Parallel()
	client := sdk(serve(t, open(t, Config{})), testKey, testSecret, "")
	manager := ali_mns.NewMNSQueueManager(client)
	if err := manager.CreateQueue("tasks", 0, 65536, 345600, 30, 0, 2); err != nil {
		t.Fatal(err)
	}
	if err := manager.CreateSimpleQueue("tasks"); !ali_mns.ERR_MNS_QUEUE_ALREADY_EXIST_AND_HAVE_SAME_ATTR.IsEqual(err) {
		t.Errorf("same attributes: %v", err)
	}
	if err := manager.CreateQueue("tasks", 1, 65536, 345600, 30, 0, 2); !ali_mns.ERR_MNS_QUEUE_ALREADY_EXIST.IsEqual(err) {
		t.Errorf("other attributes: %v", err)
	}
	if err := manager.SetQueueAttributesWithOptions("tasks", ali_mns.WithVisibilityTimeout(77), ali_mns.WithLoggingEnabled(true)); err != nil {
		t.Error(err)
	}
	attr, err := manager.GetQueueAttributes("tasks")
	if err != nil || attr.VisibilityTimeout != 77 || attr.MessageRetentionPeriod != 345600 || !attr.LoggingEnabled || attr.QueueName != "tasks" {
		t.Errorf("attributes: %+v %v", attr, err)
	}
	if list, err := manager.ListQueue("", 10, "ta"); err != nil || len(list.Queues) != 1 || !strings.HasSuffix(list.Queues[0].QueueURL, "/queues/tasks") {
		t.Errorf("list: %+v %v", list, err)
	}
	if list, err := manager.ListQueueDetail("", 10, "ta"); err != nil || len(list.Attrs) != 1 || list.Attrs[0].QueueName != "tasks" {
		t.Errorf("detailed list: %+v %v", list, err)
	}
	q := ali_mns.NewMNSQueue("tasks", client, noLimit)
	if _, err := q.SendMessage(ali_mns.MessageSendRequest{MessageBody: "m"}); !ali_mns.ERR_MNS_INVALID_ARGUMENT.IsEqual(err) {
		t.Errorf("priority 0, which the SDK sends where none is set: %v", err)
	}
	sent, err := q.SendMessage(ali_mns.MessageSendRequest{MessageBody: "a <b> & ü", Priority: 8})
	if err != nil || sent.RequestId == "" {
		t.Fatalf("%+v %v", sent, err)
	}
	delayed, err := q.SendMessage(ali_mns.MessageSendRequest{MessageBody: "later", Priority: 8, DelaySeconds: 100})
	if err != nil || delayed.ReceiptHandle == "" {
		t.Errorf("%+v %v", delayed, err)
	}
	if err := q.DeleteMessage(delayed.ReceiptHandle); err != nil {
		t.Error(err)
	}
	peeks, errs := make(chan ali_mns.MessageReceiveResponse, 1), make(chan error, 1)
	if q.PeekMessage(peeks, errs); len(peeks) != 1 {
		t.Errorf("peek: %v", <-errs)
	}
	got, err := sdkReceive(q, 5)
	if err != nil || got.MessageBody != "a <b> & ü" || got.MessageId != sent.MessageId || got.MessageBodyMD5 != sent.MessageBodyMD5 || got.DequeueCount != 1 || got.Priority != 8 {
		t.Errorf("received: %+v %v", got, err)
	}
	changed, err := q.ChangeMessageVisibility(got.ReceiptHandle, 60)
	if err != nil || time.Until(time.UnixMilli(changed.NextVisibleTime)) < 50*time.Second {
		t.Errorf("changed: %+v %v", changed, err)
	}
	if err := q.DeleteMessage(got.ReceiptHandle); !ali_mns.ERR_MNS_MESSAGE_NOT_EXIST.IsEqual(err) {
		t.Errorf("old handle: %v", err)
	}
	if err := q.DeleteMessage("nonsense"); !ali_mns.ERR_MNS_RECEIPT_HANDLE_ERROR.IsEqual(err) {
		t.Errorf("bad handle: %v", err)
	}
	if err := q.DeleteMessage(changed.ReceiptHandle); err != nil {
		t.Error(err)
	}
	if _, err := sdkReceive(q); !ali_mns.ERR_MNS_MESSAGE_NOT_EXIST.IsEqual(err) {
		t.Errorf("empty queue: %v", err)
	}
	if _, err := sdkReceive(ali_mns.NewMNSQueue("none", client, noLimit)); !ali_mns.ERR_MNS_QUEUE_NOT_EXIST.IsEqual(err) {
		t.Errorf("no queue: %v", err)
	}
	if err := manager.DeleteQueue("tasks"); err != nil {
		t.Error(err)
	}
	if open, err := ali_mns.NewAccountManager(client).OpenService(); err != nil || open.OrderId == "" {
		t.Errorf("open service: %+v %v", open, err)
	}
}

func TestGoSDKBatches(t *testing.T) {
	t.Parallel()
	client := sdk(serve(t, open(t, Config{})), testKey, testSecret, "")
	if err := ali_mns.NewMNSQueueManager(client).CreateQueueWithOptions("q", ali_mns.WithMaxMessageSize(1024)); err != nil {
		t.Fatal(err)
	}
	q := ali_mns.NewMNSQueue("q", client, noLimit)
	good := ali_mns.MessageSendRequest{MessageBody: "good", Priority: 8}
	sent, err := q.BatchSendMessage(good, good, good)
	if err != nil || len(sent.Messages) != 3 || sent.Messages[0].MessageId == "" {
		t.Fatalf("%+v %v", sent, err)
	}
	sent, err = q.BatchSendMessage(good, ali_mns.MessageSendRequest{MessageBody: strings.Repeat("x", 1025), Priority: 8})
	if !ali_mns.ERR_MNS_BATCH_OP_FAIL.IsEqual(err) || len(sent.Messages) != 2 || sent.Messages[1].ErrorCode != "InvalidArgument" {
		t.Errorf("partial send: %+v %v", sent, err)
	}
	answers, errs := make(chan ali_mns.BatchMessageReceiveResponse, 2), make(chan error, 2)
	if q.BatchPeekMessage(answers, errs, 16); len(answers) != 1 || len((<-answers).Messages) != 4 {
		t.Error("peek")
	}
	q.BatchReceiveMessage(answers, errs, 16, 5)
	got := <-answers
	if len(got.Messages) != 4 {
		t.Fatalf("received: %+v", got)
	}
	handles := []string{"nonsense"}
	for _, m := range got.Messages[1:] {
		handles = append(handles, m.ReceiptHandle)
	}
	failed, err := q.BatchDeleteMessage(handles...)
	if !ali_mns.ERR_MNS_BATCH_OP_FAIL.IsEqual(err) || len(failed.FailedMessages) != 1 || failed.FailedMessages[0].ReceiptHandle != "nonsense" {
		t.Errorf("partial delete: %+v %v", failed, err)
	}
	if _, err := q.BatchDeleteMessage(got.Messages[0].ReceiptHandle); err != nil {
		t.Error(err)
	}
}

func TestGoSDKTopics(t *testing.T) {
	t.Parallel()
	client := sdk(serve(t, open(t, Config{})), testKey, testSecret, "")
	if err := ali_mns.NewMNSQueueManager(client).CreateSimpleQueue("q"); err != nil {
		t.Fatal(err)
	}
	manager := ali_mns.NewMNSTopicManager(client)
	if err := manager.CreateSimpleTopic("events"); err != nil {
		t.Fatal(err)
	}
	if err := manager.CreateSimpleTopic("events"); !ali_mns.ERR_MNS_TOPIC_ALREADY_EXIST_AND_HAVE_SAME_ATTR.IsEqual(err) {
		t.Errorf("same attributes: %v", err)
	}
	if err := manager.SetTopicAttributes("events", 1024, true); err != nil {
		t.Error(err)
	}
	if attr, err := manager.GetTopicAttributes("events"); err != nil || attr.MaxMessageSize != 1024 || !attr.LoggingEnabled || attr.MessageRetentionPeriod != 86400 {
		t.Errorf("attributes: %+v %v", attr, err)
	}
	if list, err := manager.ListTopic("", 10, ""); err != nil || len(list.Topics) != 1 {
		t.Errorf("list: %+v %v", list, err)
	}
	if list, err := manager.ListTopicDetail("", 10, ""); err != nil || len(list.Attrs) != 1 || list.Attrs[0].TopicName != "events" {
		t.Errorf("detailed list: %+v %v", list, err)
	}
	topic := ali_mns.NewMNSTopic("events", client, noLimit)
	sub := ali_mns.MessageSubsribeRequest{
		Endpoint:            topic.GenerateQueueEndpoint("q"),
		FilterTag:           "completed",
		NotifyStrategy:      ali_mns.EXPONENTIAL_DECAY_RETRY,
		NotifyContentFormat: ali_mns.SIMPLIFIED,
	}
	if err := topic.Subscribe("s", sub); err != nil {
		t.Fatal(err)
	}
	if err := topic.Subscribe("s", sub); !ali_mns.ERR_MNS_SUBSCRIPTION_ALREADY_EXIST_AND_HAVE_SAME_ATTR.IsEqual(err) {
		t.Errorf("same attributes: %v", err)
	}
	if err := topic.SetSubscriptionAttributes("s", ali_mns.BACKOFF_RETRY); err != nil {
		t.Error(err)
	}
	if attr, err := topic.GetSubscriptionAttributes("s"); err != nil || attr.NotifyStrategy != ali_mns.BACKOFF_RETRY || attr.FilterTag != "completed" {
		t.Errorf("attributes: %+v %v", attr, err)
	}
	if list, err := topic.ListSubscriptionByTopic("", 10, ""); err != nil || len(list.Subscriptions) != 1 {
		t.Errorf("list: %+v %v", list, err)
	}
	if list, err := topic.ListSubscriptionDetailByTopic("", 10, ""); err != nil || len(list.Attrs) != 1 || list.Attrs[0].SubscriptionName != "s" {
		t.Errorf("detailed list: %+v %v", list, err)
	}
	mail := ali_mns.MessageSubsribeRequest{Endpoint: topic.GenerateMailEndpoint("a@example.com")}
	if err := topic.Subscribe("mail", mail); err == nil || !strings.Contains(err.Error(), "NotImplemented") {
		t.Errorf("mail: %v", err)
	}
	if _, err := topic.PublishMessage(ali_mns.MessagePublishRequest{MessageBody: "other", MessageTag: "disk"}); err != nil {
		t.Error(err)
	}
	sent, err := topic.PublishMessage(ali_mns.MessagePublishRequest{MessageBody: `{"id":"x"}`, MessageTag: "completed"})
	if err != nil || sent.MessageId == "" {
		t.Errorf("published: %+v %v", sent, err)
	}
	q := ali_mns.NewMNSQueue("q", client, noLimit)
	if m, err := sdkReceive(q, 5); err != nil || m.MessageBody != `{"id":"x"}` {
		t.Errorf("received: %+v %v", m, err)
	}
	if _, err := sdkReceive(q); !ali_mns.ERR_MNS_MESSAGE_NOT_EXIST.IsEqual(err) {
		t.Errorf("what was filtered: %v", err)
	}
	if err := topic.Unsubscribe("s"); err != nil {
		t.Error(err)
	}
	if _, err := topic.GetSubscriptionAttributes("s"); !ali_mns.ERR_MNS_SUBSCRIBER_NOT_EXIST.IsEqual(err) {
		t.Errorf("unsubscribed: %v", err)
	}
	if err := manager.DeleteTopic("events"); err != nil {
		t.Error(err)
	}
	if _, err := manager.GetTopicAttributes("events"); !ali_mns.ERR_MNS_TOPIC_NOT_EXIST.IsEqual(err) {
		t.Errorf("deleted: %v", err)
	}
}

func TestGoSDKCredentials(t *testing.T) {
	t.Parallel()
	ids := rootOnly()
	ids["STS.x"] = &identity.Identity{Root: true, Credentials: identity.Credentials{AccessKeyID: "STS.x", AccessKeySecret: "s", SecurityToken: "token"}}
	c := serve(t, open(t, Config{Identities: ids}))
	for _, test := range []struct {
		name, key, secret, token string
		want                     interface{ IsEqual(error) bool }
	}{
		{"token", "STS.x", "s", "token", nil},
		{"wrong secret", testKey, "x", "", &ali_mns.ERR_MNS_SIGNATURE_DOES_NOT_MATCH},
		{"unknown key", "nobody", "x", "", &ali_mns.ERR_MNS_INVALID_ACCESS_KEY_ID},
	} {
		err := ali_mns.NewMNSQueueManager(sdk(c, test.key, test.secret, test.token)).CreateSimpleQueue("q")
		if test.want == nil && err != nil || test.want != nil && !test.want.IsEqual(err) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
