package mns

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ecs-image-export/local/identity"
)

const (
	testKey    = "LTAItestkey"
	testSecret = "test-secret"
	account    = "1234567890123456"
	region     = "cn-hangzhou"
)

// callers is an identity source of a few fixed keys.
type callers map[string]*identity.Identity

func (c callers) Identify(key, token string) (*identity.Identity, error) {
	id, ok := c[key]
	switch {
	case !ok:
		return nil, identity.ErrUnknownKey
	case id.SecurityToken != token:
		return nil, identity.ErrInvalidToken
	case !id.Expiration.IsZero() && time.Now().After(id.Expiration):
		return nil, identity.ErrExpiredToken
	}
	return id, nil
}

func rootOnly() callers {
	return callers{testKey: {
		AccountID:   account,
		Root:        true,
		Credentials: identity.Credentials{AccessKeyID: testKey, AccessKeySecret: testSecret},
	}}
}

// clock is a clock that tests move.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

// open opens a service, on a new folder unless cfg has one.
func open(t testing.TB, cfg Config) *Service {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	if cfg.Identities == nil {
		cfg.Identities = rootOnly()
	}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// client signs requests by the published rules, written apart from the
// service's own code.
type client struct {
	t           testing.TB
	url         string
	key, secret string
	token       string
	http        *http.Client
	now         func() time.Time
}

// serve serves s on a free port and gives a client of it.
func serve(t testing.TB, s *Service) *client {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return &client{t: t, url: server.URL, key: testKey, secret: testSecret, http: server.Client(), now: time.Now}
}

// reply is an answer, decoded as far as tests look at it.
type reply struct {
	status int
	header http.Header
	body   string

	XMLName    xml.Name
	Code       string            `xml:"Code"`
	Messages   []receivedMessage `xml:"Message"`
	Errors     []deleteErrorXML  `xml:"Error"`
	NextMarker string            `xml:"NextMarker"`
	Queues     []listedXML       `xml:"Queue"`
	Topics     []listedXML       `xml:"Topic"`
	Subs       []listedXML       `xml:"Subscription"`

	Active       int    `xml:"ActiveMessages"`
	Inactive     int    `xml:"InactiveMessages"`
	Delayed      int    `xml:"DelayMessages"`
	MessageCount int    `xml:"MessageCount"`
	Delay        int    `xml:"DelaySeconds"`
	Visibility   int    `xml:"VisibilityTimeout"`
	Retention    int    `xml:"MessageRetentionPeriod"`
	Polling      int    `xml:"PollingWaitSeconds"`
	MaximumSize  int    `xml:"MaximumMessageSize"`
	Logging      string `xml:"LoggingEnabled"`
	CreateTime   int64  `xml:"CreateTime"`
	Endpoint     string `xml:"Endpoint"`
	Strategy     string `xml:"NotifyStrategy"`
	Format       string `xml:"NotifyContentFormat"`
	Tag          string `xml:"FilterTag"`

	receivedMessage
}

type listedXML struct {
	QueueURL, TopicURL, SubscriptionURL    string
	QueueName, TopicName, SubscriptionName string
}

type receivedMessage struct {
	ErrorCode        string
	ID               string `xml:"MessageId"`
	Handle           string `xml:"ReceiptHandle"`
	Body             string `xml:"MessageBody"`
	MD5              string `xml:"MessageBodyMD5"`
	EnqueueTime      int64
	NextVisibleTime  int64
	FirstDequeueTime int64
	DequeueCount     int
	Priority         int
}

func md5Hex(body []byte) string {
	sum := md5.Sum(body)
	return hex.EncodeToString(sum[:])
}

// request builds a signed request. change, if not nil, may change the headers
// before they are signed.
func (c *client) request(method, path, body string, change func(http.Header)) *http.Request {
	c.t.Helper()
	req, err := http.NewRequest(method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.URL.Opaque, req.URL.RawQuery = path, "" // as it is, neither cleaned nor escaped
	h := req.Header
	h.Set("Date", c.now().UTC().Format(http.TimeFormat))
	h.Set("x-mns-version", "2015-06-06")
	h.Set("Content-Type", "text/xml")
	h.Set("Content-MD5", base64.StdEncoding.EncodeToString([]byte(md5Hex([]byte(body)))))
	if c.token != "" {
		h.Set("security-token", c.token)
	}
	if change != nil {
		change(h)
	}
	if h.Get("Authorization") == "" {
		h.Set("Authorization", "MNS "+c.key+":"+sign(c.secret, method, path, h))
	}
	if h.Get("Authorization") == "none" {
		h.Del("Authorization")
	}
	return req
}

func sign(secret, method, resource string, h http.Header) string {
	var own []string
	for name := range h {
		if strings.HasPrefix(strings.ToLower(name), "x-mns-") {
			own = append(own, strings.ToLower(name)+":"+h.Get(name))
		}
	}
	slices.Sort(own)
	lines := []string{method, h.Get("Content-MD5"), h.Get("Content-Type"), h.Get("Date")}
	lines = append(append(lines, own...), resource)
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write([]byte(strings.Join(lines, "\n")))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func (c *client) do(req *http.Request) *reply {
	c.t.Helper()
	res, err := c.http.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	r := &reply{}
	if len(body) > 0 {
		if err := xml.NewDecoder(bytes.NewReader(body)).Decode(r); err != nil {
			c.t.Fatalf("%s %s: %v in %s", req.Method, req.URL, err, body)
		}
	}
	r.status, r.header, r.body = res.StatusCode, res.Header, string(body)
	return r
}

// call makes a signed request.
func (c *client) call(method, path, body string) *reply {
	c.t.Helper()
	return c.do(c.request(method, path, body, nil))
}

// must makes a signed request that has to be answered with status.
func (c *client) must(status int, method, path, body string) *reply {
	c.t.Helper()
	r := c.call(method, path, body)
	if r.status != status {
		c.t.Fatalf("%s %s: got status %d, want %d; %s", method, path, r.status, status, r.body)
	}
	return r
}

// send puts a message with this body into a queue.
func (c *client) send(queue, body string) *reply {
	c.t.Helper()
	return c.must(http.StatusCreated, "POST", "/queues/"+queue+"/messages", "<Message><MessageBody>"+body+"</MessageBody></Message>")
}

// eventually waits until ok, for at most ten seconds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		case <-tick.C:
		}
	}
}
