package rpc

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"pgregory.net/rapid"
)

// The example of the page "Request signatures" in the ECS documentation.
func TestPublishedSignature(t *testing.T) {
	t.Parallel()
	params := url.Values{
		"Format":           {"XML"},
		"Version":          {"2014-05-26"},
		"AccessKeyId":      {"testid"},
		"SignatureMethod":  {"HMAC-SHA1"},
		"SignatureVersion": {"1.0"},
		"SignatureNonce":   {"3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf"},
		"Timestamp":        {"2016-02-23T12:46:24Z"},
		"Action":           {"DescribeRegions"},
	}
	const want = "OLeaidS1JvxuMvnyHOwuJ+uX5qY="
	if got := signature("GET", params, "testsecret"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	// A Signature parameter is not part of what is signed.
	params.Set("Signature", want)
	if got := signature("GET", params, "testsecret"); got != want {
		t.Errorf("with Signature: got %s, want %s", got, want)
	}
}

// The fixed example of the page "V3 request structure and signature".
func TestPublishedACS3Signature(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodPost, "https://ecs.cn-shanghai.aliyuncs.com/?ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai", nil)
	for k, v := range map[string]string{
		"x-acs-action":          "RunInstances",
		"x-acs-version":         "2014-05-26",
		"x-acs-date":            "2023-10-26T10:22:32Z",
		"x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
		"x-acs-content-sha256":  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"Authorization": "ACS3-HMAC-SHA256 Credential=YourAccessKeyId," +
			"SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version," +
			"Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0",
	} {
		r.Header.Set(k, v)
	}
	c, err := read(httptest.NewRecorder(), r)
	if err != nil {
		t.Fatal(err)
	}
	claimed, err := c.claim()
	if err != nil {
		t.Fatal(err)
	}
	if claimed.keyID != "YourAccessKeyId" || c.action != "RunInstances" {
		t.Errorf("read as %+v, action %s", claimed, c.action)
	}
	if got, _ := claimed.sign("YourAccessKeySecret"); got != claimed.signature {
		t.Errorf("got %s, want %s", got, claimed.signature)
	}
}

func TestEncodingIsReversible(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		got, err := url.QueryUnescape(percent(s))
		if err != nil || got != s {
			t.Fatalf("%q became %q: %v", s, got, err)
		}
	})
	if got, want := percent("a b+*~/ü"), "a%20b%2B%2A~%2F%C3%BC"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestEverySignatureDependsOnEveryParameter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		params := url.Values{}
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[A-Z][a-zA-Z.0-9]{0,8}`), 1, 6, rapid.ID).Draw(t, "names")
		for _, n := range names {
			params.Set(n, rapid.String().Draw(t, "value"))
		}
		before := signature("POST", params, "secret")
		changed := rapid.SampledFrom(names).Draw(t, "changed")
		if changed == "Signature" {
			t.Skip("is not signed")
		}
		params.Set(changed, params.Get(changed)+"x")
		if signature("POST", params, "secret") == before {
			t.Fatal("the signature did not change")
		}
		if signature("GET", params, "secret") == signature("POST", params, "secret") {
			t.Fatal("the method is not signed")
		}
	})
}
