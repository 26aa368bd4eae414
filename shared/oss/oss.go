// Package oss reads and writes objects in OSS buckets.
//
// It is a small client over the vendor's Go SDK, which it uses for the wire
// protocol and signature V4 and for nothing else. Every call honours its context
// and is bounded by a time-out, every error is an *Error that errors.Is compares
// with the sentinels of this package, and a Client may be used by any number of
// goroutines.
//
// Reads and deletes are repeated after a 5xx answer (501 apart), a 408 or a broken
// connection. Writes are not: a write whose answer was lost fails with ErrUnsettled,
// and the caller finds out by reading whether it took place. Every call is repeated
// after a refusal that passes, such as one of too many calls.
package oss

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"ecs-image-export/shared/rpc"
)

// Config says where OSS is and who calls.
type Config struct {
	// Region such as cn-hangzhou. It is part of every signature.
	Region string
	// Endpoint is an URL such as https://oss-cn-hangzhou-internal.aliyuncs.com.
	// Blank means the region's public endpoint, which works from everywhere; name
	// the internal one where traffic should stay inside the region and be free.
	// An address or localhost gets path-style requests (/bucket/key), as only
	// those can work there.
	Endpoint string
	// PublicEndpoint is where signed links point. Blank means the region's public
	// endpoint, whatever Endpoint is: a link must work for whoever gets it.
	PublicEndpoint string
	// Credentials is asked before every request.
	Credentials rpc.Source
	// Transport sends the requests; nil means one of the client's own.
	Transport http.RoundTripper
	// Timeout bounds each attempt of a call, from dialling to the last byte of
	// the answer (of the headers, for Open). 0 means 10 seconds.
	Timeout time.Duration
	// MaxObject is the largest object that Get reads, in bytes. 0 means 16 MiB.
	MaxObject int64
	// Attempts is how often a read or a delete is tried. 0 means 4.
	Attempts int
	// Now is the clock that links are shortened by; nil means time.Now. The SDK
	// signs with the real time.
	Now func() time.Time
}

// Client talks to OSS in one region.
type Client struct {
	cfg    Config
	path   bool // path-style requests to Endpoint
	public bool // path-style links to PublicEndpoint
}

var regionName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)+$`)

// New returns a client. It makes no request. The error names every setting that
// is wrong.
func New(cfg Config) (*Client, error) {
	var problems []error
	if !regionName.MatchString(cfg.Region) {
		problems = append(problems, fmt.Errorf("region %q: want a region id such as cn-hangzhou", cfg.Region))
	}
	if cfg.Credentials == nil {
		problems = append(problems, errors.New("no credentials"))
	}
	public := "https://oss-" + cfg.Region + ".aliyuncs.com"
	if cfg.Endpoint == "" {
		cfg.Endpoint = public
	}
	if cfg.PublicEndpoint == "" {
		cfg.PublicEndpoint = public
	}
	c := &Client{}
	var err error
	if cfg.Endpoint, c.path, err = endpoint(cfg.Endpoint); err != nil {
		problems = append(problems, err)
	}
	if cfg.PublicEndpoint, c.public, err = endpoint(cfg.PublicEndpoint); err != nil {
		problems = append(problems, err)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("oss client: %w", err)
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.MaxObject <= 0 {
		cfg.MaxObject = 16 << 20
	}
	if cfg.Attempts <= 0 {
		cfg.Attempts = 4
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Transport == nil {
		cfg.Transport = newTransport()
	}
	c.cfg = cfg
	return c, nil
}

// endpoint checks an endpoint and says whether it needs path-style requests. The
// SDK takes a missing scheme for plain http, which nobody means.
func endpoint(raw string) (clean string, pathStyle bool, err error) {
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", false, fmt.Errorf("endpoint %q: want http(s)://host[:port] and nothing behind it", raw)
	}
	host := u.Hostname()
	pathStyle = net.ParseIP(host) != nil || !strings.Contains(host, ".") || strings.HasSuffix(host, ".localhost")
	return u.Scheme + "://" + u.Host, pathStyle, nil
}

// Bucket is one bucket, which may or may not exist. Whether its name is possible
// is checked by the calls.
func (c *Client) Bucket(name string) *Bucket { return &Bucket{client: c, name: name} }

// Bucket reads and writes the objects of one bucket.
type Bucket struct {
	client *Client
	name   string
}

// Name is the bucket's name.
func (b *Bucket) Name() string { return b.name }
