package mns

import (
	"context"
	"regexp"

	sdk "github.com/aliyun/aliyun-mns-go-sdk"
)

// Topic publishes on one topic.
type Topic struct {
	client *Client
	name   string
}

// Name is the topic's name.
func (t *Topic) Name() string { return t.name }

// A tag has at most 16 characters. Which ones is documented nowhere; these are safe.
var messageTag = regexp.MustCompile(`^[A-Za-z0-9_.-]{0,16}$`)

// Publish gives one message to every subscriber whose filter is tag or blank, and
// returns its id once the topic has accepted it. The body is plain text that XML can
// hold, 1 to 65536 bytes; the tag may be blank.
func (t *Topic) Publish(ctx context.Context, body, tag string) (id string, err error) {
	r := request{op: "publish", method: sdk.POST, resource: "topics/" + t.name, path: "/messages"}
	if e := r.named(t.name); e != nil {
		return "", e
	}
	if e := r.text(body); e != nil {
		return "", e
	}
	if !messageTag.MatchString(tag) {
		return "", r.invalid("tag %q: want up to 16 letters, digits, dots, hyphens and underscores", tag)
	}
	r.body = sdk.MessagePublishRequest{MessageBody: body, MessageTag: tag}
	a, err := t.client.do(ctx, r, nil)
	if err != nil {
		return "", err
	}
	var sent sdk.MessageSendResponse
	if e := r.decode(a, &sent); e != nil {
		return "", e
	}
	return sent.MessageId, nil
}
