package mns

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sort"
	"strings"
	"sync/atomic"
	"testing"
)

// verifyPush checks a pushed request as the vendor's sample does: it fetches
// the certificate from where the request says and rebuilds the signed text.
func verifyPush(r *http.Request) error {
	where, err := base64.StdEncoding.DecodeString(r.Header.Get("x-mns-signing-cert-url"))
	if err != nil {
		return err
	}
	res, err := http.Get(string(where))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(raw)
	if block == nil || block.Type != "CERTIFICATE" {
		return fmt.Errorf("no certificate at %s", where)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	lower := map[string]string{}
	var names []string
	for name, values := range r.Header {
		name = strings.ToLower(name)
		lower[name] = strings.Join(values, ",")
		if strings.HasPrefix(name, "x-mns-") {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	text := r.Method + "\n" + lower["content-md5"] + "\n" + lower["content-type"] + "\n" + lower["date"] + "\n"
	for _, name := range names {
		text += name + ":" + lower[name] + "\n"
	}
	text += r.URL.RequestURI()
	signature, err := base64.StdEncoding.DecodeString(lower["authorization"])
	if err != nil {
		return err
	}
	sum := sha1.Sum([]byte(text))
	return rsa.VerifyPKCS1v15(cert.PublicKey.(*rsa.PublicKey), crypto.SHA1, sum[:], signature)
}

// certificate fetches the certificate, for which no signature is needed.
func certificate(t *testing.T, c *client) string {
	t.Helper()
	res, err := c.http.Get(c.url + "/_cert/x509.pem")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("certificate: %s %v", res.Status, err)
	}
	if strings.Contains(string(raw), "PRIVATE") {
		t.Error("the private key is served")
	}
	return string(raw)
}

func TestSignedPush(t *testing.T) {
	t.Parallel()
	type pushed struct {
		path, body string
		header     http.Header
		err        error
	}
	got := make(chan pushed, 10)
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- pushed{r.URL.RequestURI(), string(body), r.Header, verifyPush(r)}
		w.WriteHeader(http.StatusCreated)
	}))
	defer endpoint.Close()
	c := serve(t, open(t, Config{}))
	for _, test := range []struct{ name, path, format, wantPath, wantType, want string }{
		{"xml", "/hook?a=b%20c", "XML", "/hook?a=b%20c", "text/xml;charset=utf-8", "<Message>m &amp; n</Message>"},
		{"json", "/hook", "JSON", "/hook", "application/json;charset=utf-8", `"Message":"m & n"`},
		{"plain", "", "SIMPLIFIED", "/notifications", "text/plain;charset=utf-8", "m & n"},
	} {
		c.must(201, "PUT", "/topics/"+test.name, "")
		c.must(201, "PUT", "/topics/"+test.name+"/subscriptions/s", "<Subscription><Endpoint>"+endpoint.URL+test.path+
			"</Endpoint><NotifyContentFormat>"+test.format+"</NotifyContentFormat></Subscription>")
		sent := c.must(201, "POST", "/topics/"+test.name+"/messages", "<Message><MessageBody>m &amp; n</MessageBody><MessageTag>tag</MessageTag></Message>")
		p := <-got
		if p.err != nil {
			t.Errorf("%s: signature: %v", test.name, p.err)
		}
		if p.path != test.wantPath || p.header.Get("Content-Type") != test.wantType || !strings.Contains(p.body, test.want) {
			t.Errorf("%s: got %s %v %s", test.name, p.path, p.header, p.body)
		}
		for name, want := range map[string]string{
			"x-mns-message-id": sent.ID, "x-mns-topic-name": test.name, "x-mns-topic-owner": account, "x-mns-subscriber": account,
			"x-mns-subscription-name": "s", "x-mns-version": "2015-06-06", "x-mns-message-tag": "tag",
			"Content-MD5": strings.ToUpper(md5Hex([]byte(p.body))), "User-Agent": "Aliyun Notification Service Agent",
		} {
			if p.header.Get(name) != want {
				t.Errorf("%s: header %s: got %q, want %q", test.name, name, p.header.Get(name), want)
			}
		}
		if test.format == "XML" {
			var doc notification
			if err := xml.Unmarshal([]byte(p.body), &doc); err != nil || doc.MessageID != sent.ID || doc.MessageMD5 != sent.MD5 {
				t.Errorf("%s: %v %+v", test.name, err, doc)
			}
		}
	}
}

func TestPushIsRetriedUntilAccepted(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	ids := make(chan string, 10)
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ids <- r.Header.Get("x-mns-message-id")
		switch calls.Add(1) {
		case 1:
			w.WriteHeader(http.StatusInternalServerError)
		case 2:
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect) // is not followed
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	defer endpoint.Close()
	c := serve(t, open(t, Config{Speed: 10000}))
	c.must(201, "PUT", "/topics/t", "")
	c.must(201, "PUT", "/topics/t/subscriptions/s", "<Subscription><Endpoint>"+endpoint.URL+"</Endpoint></Subscription>")
	c.must(201, "POST", "/topics/t/messages", "<Message><MessageBody>m</MessageBody></Message>")
	first := <-ids
	if second, third := <-ids, <-ids; second != first || third != first {
		t.Error("another message id on a retry")
	}
	eventually(t, "the delivery to be done", func() bool { return c.must(200, "GET", "/topics/t", "").MessageCount == 0 })
	if n := calls.Load(); n != 3 {
		t.Errorf("%d calls, want 3", n)
	}
}
