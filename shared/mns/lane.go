package mns

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	sdk "github.com/aliyun/aliyun-mns-go-sdk"
	"github.com/aliyun/credentials-go/credentials"
	"github.com/valyala/fasthttp"

	"ecs-image-export/shared/rpc"
)

// maxAnswer bounds an answer: 16 messages of 64 KiB, each byte of which may have
// been escaped to five.
const maxAnswer = 8 << 20

// A lane is one SDK client with the context and the credentials of the one call
// that uses it. The SDK has no way to hand either to a shared client, and a new
// client for every call would leave a goroutine behind for ten seconds each. The
// pool holds as many lanes as there were calls at one time.
//
// The lane is also the SDK's transport: in place of fasthttp, which would repeat a
// POST up to five times when the connection breaks and cannot be canceled, it sends
// by net/http.
type lane struct {
	client *Client
	sdk    sdk.MNSClient

	ctx  context.Context
	cred rpc.Credentials
	err  error // why sending failed; the SDK only keeps the text
}

// unused satisfies the SDK, which wants an endpoint with exactly four dots and
// panics otherwise. Where requests go is up to the lane.
const unused = "http://account.mns.region.aliyuncs.com"

func (c *Client) lane(ctx context.Context, cred rpc.Credentials) *lane {
	l, ok := c.lanes.Get().(*lane)
	if !ok {
		l = &lane{client: c}
		l.sdk = sdk.NewAliMNSClientWithConfig(sdk.AliMNSClientConfig{EndPoint: unused, Credential: l})
		l.sdk.SetTransport(l)
	}
	l.ctx, l.cred, l.err = ctx, cred, nil
	return l
}

func (l *lane) release() {
	l.ctx, l.cred, l.err = nil, rpc.Credentials{}, nil
	l.client.lanes.Put(l)
}

// RoundTrip sends the signed request. It never asks for a repetition.
func (l *lane) RoundTrip(_ *fasthttp.HostClient, from *fasthttp.Request, to *fasthttp.Response) (retry bool, err error) {
	defer func() {
		if err != nil {
			l.err = err
			// fasthttp has meanings of its own for io.EOF.
			err = errors.New(err.Error())
		}
	}()
	// The body hides its type from net/http: without a way to rewind it, not even
	// a GET is sent twice, and a Receive sent twice would lose messages until
	// they are visible again.
	content := io.NopCloser(bytes.NewReader(from.Body()))
	req, err := http.NewRequestWithContext(l.ctx, string(from.Header.Method()), l.client.base+string(from.URI().RequestURI()), content)
	if err != nil {
		return false, err
	}
	req.ContentLength = int64(len(from.Body()))
	for name, value := range from.Header.All() {
		switch string(name) {
		case fasthttp.HeaderHost, fasthttp.HeaderConnection, fasthttp.HeaderContentLength:
		default:
			req.Header.Set(string(name), string(value))
		}
	}
	resp, err := l.client.cfg.Transport.RoundTrip(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return false, fmt.Errorf("read the answer: %w", err)
	}
	if len(answer) > maxAnswer {
		return false, fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	}
	to.SetStatusCode(resp.StatusCode)
	to.Header.Set(requestID, resp.Header.Get(requestID))
	to.SetBodyRaw(answer)
	return false, nil
}

const requestID = "X-Mns-Request-Id"

// GetCredential is where the SDK gets its credentials from.
func (l *lane) GetCredential() (*credentials.CredentialModel, error) {
	return &credentials.CredentialModel{AccessKeyId: &l.cred.ID, AccessKeySecret: &l.cred.Secret, SecurityToken: &l.cred.Token}, nil
}

// The SDK calls none of the following.

func (l *lane) GetAccessKeyId() (*string, error)     { return &l.cred.ID, nil }
func (l *lane) GetAccessKeySecret() (*string, error) { return &l.cred.Secret, nil }
func (l *lane) GetSecurityToken() (*string, error)   { return &l.cred.Token, nil }
func (l *lane) GetBearerToken() *string              { return nil }
func (l *lane) GetType() *string                     { return nil }
