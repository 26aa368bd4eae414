package mns

import (
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"ecs-image-export/local/identity"
)

func TestErrorCodes(t *testing.T) {
	t.Parallel()
	c := serve(t, open(t, Config{}))
	c.must(http.StatusCreated, "PUT", "/queues/q", "")
	c.must(http.StatusCreated, "PUT", "/topics/t", "")
	c.send("q", "m")
	held := c.must(http.StatusOK, "GET", "/queues/q/messages", "").Handle
	queueEndpoint := "<Endpoint>acs:mns:cn-hangzhou:1234567890123456:queues/q</Endpoint>"
	c.must(http.StatusCreated, "PUT", "/topics/t/subscriptions/s", "<Subscription>"+queueEndpoint+"</Subscription>")
	message := func(s string) string { return "<Message><MessageBody>m</MessageBody>" + s + "</Message>" }
	seventeen := "<Messages>" + strings.Repeat(message(""), 17) + "</Messages>"
	big := func(n int) string { return strings.Repeat("x", n) }
	subscribe := func(s string) string { return "<Subscription>" + s + "</Subscription>" }
	long := strings.Repeat("n", 121)

	for _, test := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"PUT", "/queues/" + long, "", 400, "QueueNameLengthError"},
		{"PUT", "/queues/", "", 400, "InvalidRequestURL"},
		{"PUT", "/queues/a_b", "", 400, "InvalidQueueName"},
		{"PUT", "/queues/1q", "", 400, "InvalidQueueName"},
		{"PUT", "/queues/q%20", "", 400, "InvalidQueueName"},
		{"PUT", "/topics/" + long, "", 400, "TopicNameLengthError"},
		{"PUT", "/topics/-t", "", 400, "TopicNameInvalid"},
		{"PUT", "/topics/t/subscriptions/" + long, subscribe(queueEndpoint), 400, "SubscriptionNameLengthError"},
		{"PUT", "/topics/t/subscriptions/s.s", subscribe(queueEndpoint), 400, "SubsriptionNameInvalid"},
		{"PUT", "/queues/new", "<Queue>", 400, "MalformedXML"},
		{"PUT", "/queues/new", "<Topic></Topic>", 400, "MalformedXML"},
		{"PUT", "/queues/new", "<Queue/><Queue/>", 400, "MalformedXML"},
		{"PUT", "/queues/new", "<Queue><DelaySeconds>604801</DelaySeconds></Queue>", 400, "InvalidArgument"},
		{"PUT", "/queues/new", "<Queue><DelaySeconds>-1</DelaySeconds></Queue>", 400, "InvalidArgument"},
		{"PUT", "/queues/new", "<Queue><DelaySeconds>x</DelaySeconds></Queue>", 400, "InvalidArgument"},
		{"PUT", "/queues/new", "<Queue><VisibilityTimeout>0</VisibilityTimeout></Queue>", 400, "InvalidArgument"},
		{"PUT", "/queues/new", "<Queue><VisibilityTimeout>43201</VisibilityTimeout></Queue>", 400, "InvalidArgument"},
		{"PUT", "/queues/new", "<Queue><MessageRetentionPeriod>59</MessageRetentionPeriod></Queue>", 400, "InvalidArgument"},
		{"PUT", "/queues/new", "<Queue><MessageRetentionPeriod>604801</MessageRetentionPeriod></Queue>", 400, "InvalidArgument"},
		{"PUT", "/queues/new", "<Queue><MaximumMessageSize>1023</MaximumMessageSize></Queue>", 400, "InvalidArgument"},
		{"PUT", "/queues/new", "<Queue><MaximumMessageSize>65537</MaximumMessageSize></Queue>", 400, "InvalidArgument"},
		{"PUT", "/queues/new", "<Queue><PollingWaitSeconds>31</PollingWaitSeconds></Queue>", 400, "InvalidArgument"},
		{"PUT", "/queues/new", "<Queue><LoggingEnabled>maybe</LoggingEnabled></Queue>", 400, "InvalidArgument"},
		{"GET", "/queues/new", "", 404, "QueueNotExist"},
		{"PUT", "/queues/new?metaoverride=true", "<Queue/>", 404, "QueueNotExist"},
		{"PUT", "/queues/q?metaoverride=perhaps", "<Queue/>", 400, "InvalidQueryString"},
		{"POST", "/queues/new/messages", message(""), 404, "QueueNotExist"},
		{"GET", "/queues/new/messages?waitseconds=30", "", 404, "QueueNotExist"},
		{"GET", "/queues/new/messages?peekonly=true", "", 404, "QueueNotExist"},
		{"POST", "/queues/q/messages", message("<Priority>0</Priority>"), 400, "InvalidArgument"},
		{"POST", "/queues/q/messages", message("<Priority>17</Priority>"), 400, "InvalidArgument"},
		{"POST", "/queues/q/messages", message("<DelaySeconds>604801</DelaySeconds>"), 400, "InvalidArgument"},
		{"POST", "/queues/q/messages", "<Message></Message>", 400, "InvalidArgument"},
		{"POST", "/queues/q/messages", "<Message><MessageBody></MessageBody></Message>", 400, "InvalidArgument"},
		{"POST", "/queues/q/messages", "<Message><MessageBody><b>x</b></MessageBody></Message>", 400, "MalformedXML"},
		{"POST", "/queues/q/messages", "<Message><MessageBody>a\x01b</MessageBody></Message>", 400, "MalformedXML"},
		{"POST", "/queues/q/messages", "<Massage/>", 400, "InvalidArgument"},
		{"POST", "/queues/q/messages", "", 400, "MalformedXML"},
		{"POST", "/queues/q/messages", seventeen, 400, "InvalidArgument"},
		{"POST", "/queues/q/messages", "<Messages/>", 400, "InvalidArgument"},
		{"POST", "/queues/q/messages", "<Message><MessageBody>" + big(65537) + "</MessageBody></Message>", 400, "InvalidArgument"},
		{"POST", "/queues/q/messages", "<Messages><Message><MessageBody>" + big(40000) + "</MessageBody></Message><Message><MessageBody>" + big(40000) + "</MessageBody></Message></Messages>", 400, "InvalidArgument"},
		{"GET", "/queues/q/messages?numOfMessages=17", "", 400, "InvalidArgument"},
		{"GET", "/queues/q/messages?numOfMessages=0", "", 400, "InvalidArgument"},
		{"GET", "/queues/q/messages?waitseconds=31", "", 400, "InvalidArgument"},
		{"GET", "/queues/q/messages?waitseconds=soon", "", 400, "InvalidQueryString"},
		{"GET", "/queues/q/messages?waitseconds=%zz", "", 400, "InvalidQueryString"},
		{"GET", "/queues/q/messages", "", 404, "MessageNotExist"},
		{"DELETE", "/queues/q/messages", "", 400, "MissingReceiptHandle"},
		{"DELETE", "/queues/q/messages?ReceiptHandle=", "", 400, "MissingReceiptHandle"},
		{"DELETE", "/queues/q/messages?ReceiptHandle=nonsense", "", 400, "ReceiptHandleError"},
		{"DELETE", "/queues/q/messages", "<ReceiptHandles/>", 400, "InvalidArgument"},
		{"PUT", "/queues/q/messages?VisibilityTimeout=30", "", 400, "MissingReceiptHandle"},
		{"PUT", "/queues/q/messages?ReceiptHandle=" + held, "", 400, "MissingVisibilityTimeout"},
		{"PUT", "/queues/q/messages?ReceiptHandle=" + held + "&VisibilityTimeout=0", "", 400, "InvalidArgument"},
		{"PUT", "/queues/q/messages?ReceiptHandle=" + held + "&VisibilityTimeout=43201", "", 400, "InvalidArgument"},
		{"PUT", "/queues/q/messages?ReceiptHandle=1-x&VisibilityTimeout=30", "", 400, "ReceiptHandleError"},
		{"GET", "/topics/none", "", 404, "TopicNotExist"},
		{"PUT", "/topics/t", "<Topic><MaximumMessageSize>2048</MaximumMessageSize></Topic>", 409, "TopicAlreadyExist"},
		{"PUT", "/topics/t?metaoverride=true", "<Topic><MaximumMessageSize>1</MaximumMessageSize></Topic>", 400, "InvalidArgument"},
		{"POST", "/topics/none/messages", message(""), 404, "TopicNotExist"},
		{"POST", "/topics/t/messages", message("<MessageTag>12345678901234567</MessageTag>"), 400, "InvalidArgument"},
		{"POST", "/topics/t/messages", "<Message><MessageBody>" + big(65537) + "</MessageBody></Message>", 400, "InvalidArgument"},
		{"POST", "/topics/t/messages", "<Message/>", 400, "InvalidArgument"},
		{"PUT", "/topics/none/subscriptions/s", subscribe(queueEndpoint), 404, "TopicNotExist"},
		{"PUT", "/topics/t/subscriptions/s", subscribe(queueEndpoint + "<FilterTag>x</FilterTag>"), 409, "SubscriptionAlreadyExist"},
		{"PUT", "/topics/t/subscriptions/z", subscribe(queueEndpoint + "<FilterTag>12345678901234567</FilterTag>"), 400, "InvalidArgument"},
		{"PUT", "/topics/t/subscriptions/z", subscribe(queueEndpoint + "<NotifyStrategy>NEVER</NotifyStrategy>"), 400, "InvalidArgument"},
		{"PUT", "/topics/t/subscriptions/z", subscribe(queueEndpoint + "<NotifyContentFormat>YAML</NotifyContentFormat>"), 400, "InvalidArgument"},
		{"PUT", "/topics/t/subscriptions/z", subscribe(""), 400, "EndpointInvalid"},
		{"PUT", "/topics/t/subscriptions/z", subscribe("<Endpoint>http://example.com/x</Endpoint>"), 400, "EndpointInvalid"},
		{"PUT", "/topics/t/subscriptions/z", subscribe("<Endpoint>http://user:pw@127.0.0.1/x</Endpoint>"), 400, "EndpointInvalid"},
		{"PUT", "/topics/t/subscriptions/z", subscribe("<Endpoint>acs:mns:cn-beijing:1234567890123456:queues/q</Endpoint>"), 400, "EndpointInvalid"},
		{"PUT", "/topics/t/subscriptions/z", subscribe("<Endpoint>mail:directmail:a@example.com</Endpoint>"), 501, "NotImplemented"},
		{"PUT", "/topics/t/subscriptions/z", subscribe("<Endpoint>sms:directsms:anonymous</Endpoint>"), 501, "NotImplemented"},
		{"GET", "/topics/t/subscriptions/none", "", 404, "SubscriberNotExist"},
		{"PUT", "/topics/t/subscriptions/none?metaoverride=true", subscribe("<NotifyStrategy>BACKOFF_RETRY</NotifyStrategy>"), 404, "SubscriberNotExist"},
		{"PUT", "/topics/t/subscriptions/s?metaoverride=true", subscribe("<NotifyStrategy>NEVER</NotifyStrategy>"), 400, "InvalidArgument"},
		{"GET", "/", "", 400, "InvalidRequestURL"},
		{"GET", "/elsewhere", "", 400, "InvalidRequestURL"},
		{"POST", "/queues/q", "", 400, "InvalidRequestURL"},
		{"GET", "/queues/q/messages/x", "", 400, "InvalidRequestURL"},
		{"GET", "/queues//messages", "", 400, "QueueNameLengthError"},
		{"GET", "/queues/../queues", "", 400, "InvalidQueueName"},
	} {
		r := c.call(test.method, test.path, test.body)
		if r.status != test.status || r.Code != test.code {
			t.Errorf("%s %.60s %.60s: got %d %s, want %d %s", test.method, test.path, test.body, r.status, r.Code, test.status, test.code)
		}
		if r.XMLName.Local == "Error" && (!strings.Contains(r.body, "<RequestId>"+r.header.Get("x-mns-request-id")) ||
			!strings.Contains(r.body, "<HostId>http://") || r.XMLName.Space != namespace) {
			t.Errorf("error document: %s", r.body)
		}
	}
}

// TestInternalError: a full disk must be told from a defect.
func TestInternalError(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("write mns.db: %w", syscall.ENOSPC)
	if e := asWireError(err); e.status != 500 || e.code != "InternalServerError" || !strings.Contains(e.message, err.Error()) {
		t.Errorf("got %+v, want InternalServerError with the cause", e)
	}
}

func TestAuthentication(t *testing.T) {
	t.Parallel()
	ids := rootOnly()
	ids["STS.live"] = &identity.Identity{Root: true, Credentials: identity.Credentials{
		AccessKeyID: "STS.live", AccessKeySecret: "s", SecurityToken: "token", Expiration: time.Now().Add(time.Hour)}}
	ids["STS.old"] = &identity.Identity{Root: true, Credentials: identity.Credentials{
		AccessKeyID: "STS.old", AccessKeySecret: "s", SecurityToken: "token", Expiration: time.Now().Add(-time.Hour)}}
	c := serve(t, open(t, Config{Identities: ids}))
	set := func(k, v string) func(http.Header) { return func(h http.Header) { h.Set(k, v) } }
	unset := func(k string) func(http.Header) { return func(h http.Header) { h.Del(k) } }
	old := time.Now().Add(-16 * time.Minute).UTC().Format(http.TimeFormat)
	now := time.Now().UTC().Format(http.TimeFormat)
	const body = "<Queue/>"
	sum := md5.Sum([]byte(body))
	c.must(http.StatusCreated, "PUT", "/queues/q", body)
	for _, test := range []struct {
		name, key, secret, token string
		change                   func(http.Header)
		status                   int
		code                     string
	}{
		{"good", testKey, testSecret, "", nil, 204, ""},
		{"no authorization", testKey, testSecret, "", set("Authorization", "none"), 400, "MissingAuthorizationHeader"},
		{"other scheme", testKey, testSecret, "", set("Authorization", "OSS a:b"), 400, "InvalidAuthorizationHeader"},
		{"no colon", testKey, testSecret, "", set("Authorization", "MNS abc"), 400, "InvalidAuthorizationHeader"},
		{"not base64", testKey, testSecret, "", set("Authorization", "MNS a:!!"), 400, "InvalidAuthorizationHeader"},
		{"version 4", testKey, testSecret, "", set("Authorization", "MNS4-HMAC-SHA256 Credential=a"), 501, "NotImplemented"},
		{"unknown key", "nobody", testSecret, "", nil, 403, "InvalidAccessKeyId"},
		{"wrong secret", testKey, "wrong", "", nil, 403, "SignatureDoesNotMatch"},
		{"no date", testKey, testSecret, "", unset("Date"), 400, "MissingDateHeader"},
		{"garbled date", testKey, testSecret, "", set("Date", "yesterday"), 400, "InvalidDateHeader"},
		{"old date", testKey, testSecret, "", set("Date", old), 408, "TimeExpired"},
		{"x-mns-date is the one that counts", testKey, testSecret, "", func(h http.Header) { h.Set("Date", old); h.Set("x-mns-date", now) }, 204, ""},
		{"old x-mns-date", testKey, testSecret, "", set("x-mns-date", old), 408, "TimeExpired"},
		{"x-mns-date alone", testKey, testSecret, "", func(h http.Header) { h.Del("Date"); h.Set("x-mns-date", now) }, 204, ""},
		{"no version", testKey, testSecret, "", unset("x-mns-version"), 400, "MissingVersionHeader"},
		{"RFC 1864 digest", testKey, testSecret, "", set("Content-MD5", base64.StdEncoding.EncodeToString(sum[:])), 204, ""},
		{"no digest", testKey, testSecret, "", unset("Content-MD5"), 204, ""},
		{"wrong digest", testKey, testSecret, "", set("Content-MD5", base64.StdEncoding.EncodeToString([]byte(md5Hex([]byte("x"))))), 400, "InvalidDegist"},
		{"garbled digest", testKey, testSecret, "", set("Content-MD5", "?"), 400, "InvalidDegist"},
		{"token", "STS.live", "s", "token", nil, 204, ""},
		{"wrong token", "STS.live", "s", "other", nil, 403, "InvalidSecurityToken"},
		{"token missing", "STS.live", "s", "", nil, 403, "InvalidSecurityToken"},
		{"expired token", "STS.old", "s", "token", nil, 403, "SecurityTokenExpired"},
	} {
		other := *c
		other.key, other.secret, other.token = test.key, test.secret, test.token
		r := other.do(other.request("PUT", "/queues/q", body, test.change))
		if r.status != test.status || r.Code != test.code {
			t.Errorf("%s: got %d %s, want %d %s", test.name, r.status, r.Code, test.status, test.code)
		}
	}
}

// The Go SDK can name a server on localhost only with the endpoint's host name
// as the first part of the path, and leaves that out of the signature; the Java
// SDK signs it.
func TestPathPrefix(t *testing.T) {
	t.Parallel()
	c := serve(t, open(t, Config{}))
	const prefix = "/1234567890123456.mns.cn-hangzhou.aliyuncs.com"
	for _, signed := range []string{"/queues/q", prefix + "/queues/q"} {
		req := c.request("PUT", prefix+"/queues/q", "", func(h http.Header) {
			h.Set("Authorization", "MNS "+testKey+":"+sign(testSecret, "PUT", signed, h))
		})
		r := c.do(req)
		if r.status/100 != 2 || r.header.Get("Location") != c.url+prefix+"/queues/q" {
			t.Errorf("signed %s: got %d %s", signed, r.status, r.body)
		}
	}
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	ids := rootOnly()
	ids["limited"] = &identity.Identity{
		Credentials: identity.Credentials{AccessKeyID: "limited", AccessKeySecret: "s"},
		Policies: []identity.Policy{{Version: "1", Statement: []identity.Statement{
			{Effect: "Allow", Action: identity.StringList{"mns:SendMessage", "mns:ReceiveMessage"}, Resource: identity.StringList{"acs:mns:cn-hangzhou:*:/queues/mine/messages"}},
			{Effect: "Allow", Action: identity.StringList{"mns:BatchPeekMessage"}, Resource: identity.StringList{"acs:mns:*:*:/queues/mine/messages"}},
			{Effect: "Allow", Action: identity.StringList{"mns:PublishMessage"}, Resource: identity.StringList{fmt.Sprintf("acs:mns:%s:%s:/topics/mine/messages", region, account)}},
			{Effect: "Allow", Action: identity.StringList{"mns:Get*", "mns:ListSubscriptionByTopic"}, Resource: identity.StringList{"*"}},
		}}},
	}
	root := serve(t, open(t, Config{Identities: ids}))
	for _, path := range []string{"/queues/mine", "/queues/other", "/topics/mine", "/topics/other"} {
		root.must(http.StatusCreated, "PUT", path, "")
	}
	c := *root
	c.key, c.secret = "limited", "s"
	const message = "<Message><MessageBody>m</MessageBody></Message>"
	for _, test := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/queues/mine/messages", message, 201},
		{"POST", "/queues/mine/messages", "<Messages>" + message + "</Messages>", 201},
		{"POST", "/queues/other/messages", message, 403},
		{"GET", "/queues/mine/messages", "", 200},
		{"GET", "/queues/mine/messages?numOfMessages=1", "", 200},
		{"GET", "/queues/mine/messages?peekonly=true&numOfMessages=1", "", 404},
		{"GET", "/queues/mine/messages?peekonly=true", "", 403},
		{"GET", "/queues/other/messages", "", 403},
		{"DELETE", "/queues/mine/messages?ReceiptHandle=x", "", 403},
		{"DELETE", "/queues/mine/messages", "<ReceiptHandles/>", 403},
		{"PUT", "/queues/mine/messages?ReceiptHandle=x&VisibilityTimeout=1", "", 403},
		{"GET", "/queues/mine", "", 200},
		{"PUT", "/queues/mine", "", 403},
		{"PUT", "/queues/mine?metaoverride=true", "", 403},
		{"DELETE", "/queues/mine", "", 403},
		{"GET", "/queues", "", 403},
		{"GET", "/topics", "", 403},
		{"POST", "/topics/mine/messages", message, 201},
		{"POST", "/topics/other/messages", message, 403},
		{"GET", "/topics/mine/subscriptions", "", 200},
		{"PUT", "/topics/mine/subscriptions/s", "<Subscription/>", 403},
		{"DELETE", "/topics/mine/subscriptions/s", "", 403},
		{"POST", "/commonbuy/openservice", "", 403},
	} {
		r := c.call(test.method, test.path, test.body)
		if r.status != test.status || (test.status == 403) != (r.Code == "AccessDenied") {
			t.Errorf("%s %s: got %d %s, want %d", test.method, test.path, r.status, r.Code, test.status)
		}
	}
}
