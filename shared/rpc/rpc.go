// Package rpc calls the RPC-style APIs of Alibaba Cloud (ECS, RAM, STS) through
// the official SDK and hides what is dangerous about it: its clients are not
// safe for concurrent use, know no context, default to plain HTTP, print the
// signature and the token in network errors, and panic on error bodies that
// they do not expect.
//
// A Client is safe for concurrent use. A call makes one request, unless it is
// said to be a read. Every failure is an *Error that says whether the request
// was refused, never left, or may have been carried out.
package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
)

// Config says which API a client calls. Product, Version, Region and Credentials
// are required.
type Config struct {
	Product string // as the SDK names it: "Ecs", "Ram", "Sts"
	Version string // of the API: "2014-05-26"
	// Endpoint is a URL such as http://127.0.0.1:9083, or blank for the real
	// service of Region over HTTPS.
	Endpoint    string
	Region      string
	Credentials Source
	// Timeout bounds each request; zero means 10 seconds. The context bounds
	// the whole call.
	Timeout time.Duration
	// Backoff is about how long the first wait between two tries of a read is;
	// zero means 200 milliseconds. Each further one is up to twice as long.
	Backoff time.Duration
}

const (
	defaultTimeout = 10 * time.Second
	defaultBackoff = 200 * time.Millisecond
	connectTimeout = 5 * time.Second
)

// Client calls one API.
type Client struct {
	cfg          Config
	scheme, host string
	kept, fresh  *http.Transport
}

// New checks cfg and returns a client. It makes no request.
func New(cfg Config) (*Client, error) {
	if cfg.Product == "" || cfg.Version == "" || cfg.Region == "" || cfg.Credentials == nil {
		return nil, errors.New("rpc client: product, version, region and credentials are required")
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Backoff == 0 {
		cfg.Backoff = defaultBackoff
	}
	c := &Client{cfg: cfg, scheme: "HTTPS", host: host(cfg.Product, cfg.Region)}
	if cfg.Endpoint != "" {
		u, err := url.Parse(cfg.Endpoint)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" {
			return nil, fmt.Errorf("rpc client: endpoint %q is not a URL like http://127.0.0.1:9083", cfg.Endpoint)
		}
		c.scheme, c.host = strings.ToUpper(u.Scheme), u.Host
	}
	// One transport for all reads keeps connections; a client of the SDK for
	// each call costs nothing. All other calls get a connection of their own: on
	// one that the server closed while the process was frozen, nobody could tell
	// whether the request arrived.
	c.kept = &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: connectTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   connectTimeout,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   16,
		IdleConnTimeout:       50 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
	c.fresh = c.kept.Clone()
	c.fresh.DisableKeepAlives = true
	return c, nil
}

// host is where the real service listens: RAM is one for all regions.
func host(product, region string) string {
	if strings.EqualFold(product, "Ram") {
		return "ram.aliyuncs.com"
	}
	return strings.ToLower(product) + "." + region + ".aliyuncs.com"
}

// Option changes how a call is made.
type Option func(*call)

// Read says that the action changes nothing, so that a try that failed for a
// passing reason (throttling, 5xx, a broken connection, an unreadable answer)
// may be followed by another: three more at most, each after a longer random
// wait, none that would begin after the context's deadline.
func Read(c *call) { c.tries, c.transport = 4, c.client.kept }

// call is one call under way.
type call struct {
	client *Client
	action string
	params map[string]string
	tries  int

	transport http.RoundTripper
}

// Call makes a call and decodes the answer into out, unless out is nil. Empty
// parameters are left out; RegionId is added where it is missing.
func (c *Client) Call(ctx context.Context, action string, params map[string]string, out any, options ...Option) error {
	this := &call{client: c, action: action, params: params, tries: 1, transport: c.fresh}
	for _, o := range options {
		o(this)
	}
	for try := 1; ; try++ {
		e := this.try(ctx, out)
		if e == nil {
			return nil
		}
		if try == this.tries || ctx.Err() != nil || !e.passing() || !wait(ctx, c.cfg.Backoff, try) {
			return e
		}
	}
}

// try makes one request. It returns nil or the reason why there is no answer.
func (c *call) try(ctx context.Context, out any) *Error {
	fail := &Error{Product: c.client.cfg.Product, Action: c.action, kind: notSent}
	cred, err := c.client.cfg.Credentials(ctx)
	if err != nil {
		fail.Err = fmt.Errorf("credentials: %w", err)
		return fail
	}
	ctx, cancel := context.WithTimeout(ctx, c.client.cfg.Timeout)
	defer cancel()
	x := &exchange{ctx: ctx, transport: c.transport}
	sdkErr := c.send(x, cred)
	switch {
	case x.err != nil:
		fail.kind, fail.Err = x.failed(), x.err
		return fail
	case !x.answered:
		fail.Err = sdkErr
		return fail
	case x.status < 200 || x.status > 299:
		return refusal(c.client.cfg.Product, c.action, x.status, x.body)
	}
	fail.kind, fail.Status, fail.RequestID = unclear, x.status, requestID(x.body)
	if !json.Valid(x.body) {
		fail.Err = errors.New("the answer is not JSON")
		return fail
	}
	if out != nil {
		if err := json.Unmarshal(x.body, out); err != nil {
			fail.Err = fmt.Errorf("decode the answer: %w", err)
			return fail
		}
	}
	return nil
}

// send lets the SDK sign the request and pass it to x. What x saw is the result;
// the SDK's error matters only where x saw nothing.
func (c *call) send(x *exchange, cred Credentials) (err error) {
	defer func() {
		// The SDK asserts that the fields of an error body are strings.
		if r := recover(); r != nil {
			err = fmt.Errorf("the SDK panicked: %v", r)
		}
	}()
	config := sdk.NewConfig().WithAutoRetry(false).WithScheme(c.client.scheme)
	config.Transport = x
	var provider credentials.CredentialsProvider = credentials.NewStaticAKCredentialsProvider(cred.ID, cred.Secret)
	if cred.Token != "" {
		provider = credentials.NewStaticSTSCredentialsProvider(cred.ID, cred.Secret, cred.Token)
	}
	client, err := sdk.NewClientWithOptions(c.client.cfg.Region, config, provider)
	if err != nil {
		return err
	}
	// Our transport reads the proxy variables as Go does. The SDK takes each
	// entry of NO_PROXY for a regular expression and fails on one that is not.
	client.SetNoProxy("none")
	client.SetHttpProxy("http://none")
	client.SetHttpsProxy("http://none")
	// Ours ends first.
	client.SetReadTimeout(c.client.cfg.Timeout + time.Minute)

	r := requests.NewCommonRequest()
	// POST, since a GET on a kept connection is sent again when it breaks.
	r.Method = requests.POST
	r.Scheme = c.client.scheme
	r.Domain = c.client.host
	r.Product, r.Version, r.ApiName = c.client.cfg.Product, c.client.cfg.Version, c.action
	for k, v := range c.params {
		if v != "" {
			r.QueryParams[k] = v
		}
	}
	_, err = client.ProcessCommonRequest(r)
	return err
}
