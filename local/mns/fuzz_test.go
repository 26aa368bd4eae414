package mns

import (
	"encoding/base64"
	"strings"
	"testing"
)

func FuzzParseHandle(f *testing.F) {
	for _, s := range []string{"", "1-", "1-ODU4OTkzNDU5My0xNDMyNzI3ODI3LTItOA==", "1-My0xNzk1MzY0NTcyMDg0LTEyMTc3MDY2ODcwMzA4Mjc1MTIxLTg=",
		"1-" + base64.StdEncoding.EncodeToString([]byte("1-2-3-256")), "1-" + base64.StdEncoding.EncodeToString([]byte("01-2-3-4"))} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := parseHandle(s)
		if err == nil && h.String() != s {
			t.Errorf("%q reads as %+v, which is %q", s, h, h)
		}
	})
}

func FuzzParseAuthorization(f *testing.F) {
	for _, s := range []string{"", "MNS a:Yg==", "MNS :Yg==", "MNS a b:Yg==", "MNS4-HMAC-SHA256 Credential=x", "OSS a:b", "MNS a:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := parseAuthorization(s)
		if err == nil && (a.accessKeyID == "" || len(a.signature) == 0 || !strings.Contains(s, a.accessKeyID)) {
			t.Errorf("%q reads as %+v", s, a)
		}
	})
}

func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"/", "", "*", "http://h", "http://h/queues/q?a=b", "/1.mns.r.aliyuncs.com/queues/q", "/1.mns.r.aliyuncs.com",
		"/queues//x?ReceiptHandle=1-a==&Visibility%54imeout=1", "/q?%zz"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		target, err := parseTarget(s)
		if err != nil {
			return
		}
		if len(target.path) == 0 || len(target.signed) == 0 || !strings.HasSuffix(s, target.signed[0]) {
			t.Errorf("%q reads as %+v", s, target)
		}
	})
}

func FuzzDecodeMessages(f *testing.F) {
	for _, s := range []string{
		"<Message><MessageBody>m</MessageBody></Message>",
		`<?xml version="1.0" encoding="utf-8"?><Message xmlns="http://mns.aliyuncs.com/doc/v1/"><MessageBody><![CDATA[<m>]]></MessageBody><Priority>0</Priority></Message>`,
		"<Messages><Message><MessageBody>m</MessageBody><DelaySeconds>1</DelaySeconds></Message><Message/></Messages>",
		"<Message><MessageBody>m<b/></MessageBody></Message>", "<Message></Message>x", "<Message", "<!DOCTYPE x [<!ENTITY a 'b'>]><Message/>",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		messages, batch, err := decodeMessages(body)
		if err != nil {
			return
		}
		if !batch && len(messages) != 1 {
			t.Errorf("%d messages in one", len(messages))
		}
		for _, m := range messages {
			if o, err := m.check(); err == nil && (o.priority < 1 || o.priority > 16 || o.delay < -1 || o.delay > maxDelay || len(o.body) == 0) {
				t.Errorf("accepted %+v", o)
			}
		}
	})
}

func FuzzDecodeRequests(f *testing.F) {
	for _, s := range []string{
		"<Queue><DelaySeconds>5</DelaySeconds><LoggingEnabled>True</LoggingEnabled></Queue>",
		"<Topic><MaximumMessageSize>1024</MaximumMessageSize></Topic>",
		"<Message><MessageBody>m</MessageBody><MessageTag>t</MessageTag><MessageAttributes><DirectMail>{}</DirectMail></MessageAttributes></Message>",
		"<ReceiptHandles><ReceiptHandle>1-a</ReceiptHandle></ReceiptHandles>",
		"<Subscription><Endpoint>http://127.0.0.1:1/x</Endpoint><FilterTag>t</FilterTag></Subscription>",
	} {
		f.Add([]byte(s))
	}
	s := &Service{accountID: account, region: region}
	f.Fuzz(func(t *testing.T, body []byte) {
		if a, err := defaultQueue.apply(body); err == nil &&
			(a.Visibility < 1 || a.Visibility > maxVisibility || a.Retention < minRetention || a.Retention > maxRetention || a.MaximumSize < minMessageSize) {
			t.Errorf("accepted %+v", a)
		}
		if a, err := s.parseSubscription(body); err == nil {
			if to, err := s.parseEndpoint(a.Endpoint); err != nil || (to.queue == "") == (to.url == nil) {
				t.Errorf("accepted %+v", a)
			}
		}
		for _, v := range []any{&publishRequest{}, &handlesRequest{}, &topicRequest{}} {
			_ = decodeXML(body, v)
		}
	})
}
