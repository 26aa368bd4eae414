// Package mns sends and receives messages through MNS (now called SMQ) queues and
// publishes them on topics.
//
// It uses the vendor's Go SDK for signing and the protocol, at the SDK's lowest
// level (MNSClient.Send): the queue and topic objects above it sleep and race in a
// rate monitor, send a priority that the service refuses, hand results to channels
// and hide the status and code of an error. What is sent goes through net/http, so
// that a context ends it at once and nothing is repeated behind the caller's back.
//
// Message bodies are plain text, never base64. Every error is an *Error that
// errors.Is compares with the sentinels of this package, and a Client may be used
// by any number of goroutines.
//
// Deletes, attribute queries and set-up are repeated after a 5xx answer (501 apart) or
// a broken connection; sending, publishing and receiving are not. When the answer to
// one of those is lost the error is ErrUnsettled. Delivery is at least once anyway, so
// a caller may send again where a second message does no harm. Every call is repeated
// after a refusal for too many calls.
package mns

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"ecs-image-export/shared/rpc"
)

// Config says where MNS is and who calls.
type Config struct {
	// Endpoint is an URL. Blank means https://<AccountID>.mns.<Region>.aliyuncs.com;
	// the internal one is https://<AccountID>.mns.<Region>-internal.aliyuncs.com. Any
	// other host is fine too, and a path, such as http://localhost:9082/<AccountID>.mns.
	// cn-hangzhou.aliyuncs.com, is put before that of the request but not signed, as
	// the Go SDK does it.
	Endpoint string
	// AccountID of the queues and topics: 16 digits.
	AccountID string
	// Region such as cn-hangzhou.
	Region string
	// Credentials is asked before every request.
	Credentials rpc.Source
	// Transport sends the requests; nil means one of the client's own.
	Transport http.RoundTripper
	// Timeout bounds each attempt of a call, beside the time that Receive is told
	// to wait. 0 means 10 seconds.
	Timeout time.Duration
	// Attempts is how often a call is tried that may be repeated. 0 means 4.
	Attempts int
}

// Client talks to MNS as one account in one region.
type Client struct {
	cfg   Config
	base  string // the endpoint without a slash at the end
	lanes sync.Pool
}

var (
	accountID  = regexp.MustCompile(`^[0-9]{1,32}$`)
	regionName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)+$`)
)

// New returns a client. It makes no request. The error names every setting that
// is wrong.
func New(cfg Config) (*Client, error) {
	var problems []error
	if !accountID.MatchString(cfg.AccountID) {
		problems = append(problems, fmt.Errorf("account id %q: want digits", cfg.AccountID))
	}
	if !regionName.MatchString(cfg.Region) {
		problems = append(problems, fmt.Errorf("region %q: want a region id such as cn-hangzhou", cfg.Region))
	}
	if cfg.Credentials == nil {
		problems = append(problems, errors.New("no credentials"))
	}
	if cfg.Endpoint == "" {
		cfg.Endpoint = "https://" + cfg.AccountID + ".mns." + cfg.Region + ".aliyuncs.com"
	}
	u, err := url.Parse(cfg.Endpoint)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" ||
		u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		problems = append(problems, fmt.Errorf("endpoint %q: want http(s)://host[:port][/path]", cfg.Endpoint))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("mns client: %w", err)
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.Attempts <= 0 {
		cfg.Attempts = 4
	}
	if cfg.Transport == nil {
		cfg.Transport = &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			TLSHandshakeTimeout: 5 * time.Second,
			MaxIdleConns:        128,
			MaxIdleConnsPerHost: 64,
			IdleConnTimeout:     30 * time.Second,
			DisableCompression:  true,
		}
	}
	// A path of dots and slashes means nothing: http://127.0.0.1:9082/. is how the
	// bare SDK is pointed at an address, as it wants four dots in its endpoint.
	path := strings.TrimRight(u.EscapedPath(), "./")
	return &Client{cfg: cfg, base: u.Scheme + "://" + u.Host + path}, nil
}

// Queue is one queue, which may or may not exist. Whether its name is possible is
// checked by the calls.
func (c *Client) Queue(name string) *Queue { return &Queue{client: c, name: name} }

// Topic is one topic, which may or may not exist. Whether its name is possible is
// checked by the calls.
func (c *Client) Topic(name string) *Topic { return &Topic{client: c, name: name} }

// QueueEndpoint is how a subscription names a queue of this account and region.
func (c *Client) QueueEndpoint(queue string) string {
	return "acs:mns:" + c.cfg.Region + ":" + c.cfg.AccountID + ":queues/" + queue
}
