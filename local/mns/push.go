package mns

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"
)

// pushTimeout is how long an HTTP endpoint may take to answer.
// https://www.alibabacloud.com/help/faq-detail/178972.htm
const pushTimeout = 5 * time.Second

// pushClient reaches this machine only, through no proxy, and follows no
// redirect.
func pushClient() *http.Client {
	dialer := &net.Dialer{Timeout: pushTimeout, Control: func(_, address string, _ syscall.RawConn) error {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return err
		}
		if !loopback(host) {
			return fmt.Errorf("push to %s: not on this machine", address)
		}
		return nil
	}}
	return &http.Client{
		Timeout:       pushTimeout,
		Transport:     &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: maxInFlight, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// pushTo posts a message to an HTTP endpoint, which has to answer with a status
// from 200 to 299. The headers are those of a captured push of the service.
func (s *Service) pushTo(ctx context.Context, to *url.URL, sub *subscription, n *notice) error {
	body := s.payload(sub, n)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	h := req.Header
	h.Set("User-Agent", "Aliyun Notification Service Agent")
	h.Set("Date", s.now().UTC().Format(http.TimeFormat))
	h.Set("Content-MD5", upperMD5(md5.Sum(body)))
	h.Set("Content-Type", contentType(sub.Format))
	h.Set("x-mns-version", apiVersion)
	h.Set("x-mns-request-id", newRequestID())
	h.Set("x-mns-topic-owner", s.accountID)
	h.Set("x-mns-topic-name", sub.Topic)
	h.Set("x-mns-subscriber", s.accountID)
	h.Set("x-mns-subscription-name", sub.Name)
	h.Set("x-mns-message-id", n.ID)
	h.Set("x-mns-publish-time", strconv.FormatInt(n.Time, 10))
	h.Set("x-mns-signing-cert-url", base64.StdEncoding.EncodeToString([]byte(s.base(n)+certificatePath)))
	if n.Tag != "" {
		h.Set("x-mns-message-tag", n.Tag)
	}
	signer, err := s.signer()
	if err != nil {
		return err
	}
	signature, err := signPush(signer.key, to.RequestURI(), h)
	if err != nil {
		return err
	}
	h.Set("Authorization", signature)
	res, err := s.push.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // lets the connection be used again
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("push to %s: %s", to, res.Status)
	}
	return nil
}

// base is the address under which subscribers find the certificate.
func (s *Service) base(n *notice) string {
	if s.url != "" {
		return s.url
	}
	if seen, ok := s.seen.Load().(string); ok {
		return seen
	}
	return n.Base // until somebody calls after a restart
}

func contentType(format string) string {
	switch format {
	case formatSimplified:
		return "text/plain;charset=utf-8"
	case formatJSON:
		return "application/json;charset=utf-8"
	}
	return "text/xml;charset=utf-8"
}
