package oss

import (
	"context"
	"encoding/xml"
	"errors"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
)

// Rule is a lifecycle rule that OSS carries out about once a day, counted from
// when the object was last changed or the upload begun. At least one of the two
// numbers of days is above zero.
type Rule struct {
	ID               string // 1 to 255 characters, one of a kind in the bucket
	Prefix           string // blank: all objects
	ExpireDays       int    // objects are deleted after so many days; 0: never
	AbortUploadsDays int    // unfinished uploads are aborted after so many days; 0: never
}

// rule is a rule in XML. What it holds beside the id is kept as it came, so that
// writing ours back does not lose what somebody else set.
type rule struct {
	XMLName xml.Name `xml:"Rule"`
	Inner   string   `xml:",innerxml"`
}

type ruleXML struct {
	XMLName xml.Name `xml:"Rule"`
	ID      string
	Prefix  string
	Status  string
	Expire  *days `xml:"Expiration"`
	Abort   *days `xml:"AbortMultipartUpload"`
}

type days struct {
	Days int
}

func (r Rule) xml() ruleXML {
	x := ruleXML{ID: r.ID, Prefix: r.Prefix, Status: "Enabled"}
	if r.ExpireDays > 0 {
		x.Expire = &days{r.ExpireDays}
	}
	if r.AbortUploadsDays > 0 {
		x.Abort = &days{r.AbortUploadsDays}
	}
	return x
}

func (x ruleXML) rule() Rule {
	r := Rule{ID: x.ID, Prefix: x.Prefix}
	if x.Expire != nil {
		r.ExpireDays = x.Expire.Days
	}
	if x.Abort != nil {
		r.AbortUploadsDays = x.Abort.Days
	}
	return r
}

// Lifecycle returns the rules that are enabled. Of rules that do more than a Rule
// says, it returns the part that a Rule can say.
func (b *Bucket) Lifecycle(ctx context.Context) ([]Rule, error) {
	raw, err := b.lifecycle(ctx)
	if err != nil {
		return nil, err
	}
	var rules []Rule
	for _, r := range raw {
		x, err := r.parse()
		if err != nil {
			return nil, call{op: "get lifecycle", bucket: b.name}.error(err, nil)
		}
		if x.Status == "Enabled" {
			rules = append(rules, x.rule())
		}
	}
	return rules, nil
}

// SetLifecycle puts these rules in place of those with the same ids, leaves all
// others as they are, and tells whether anything had to be changed. OSS only
// replaces the whole set, so two that set rules at the same time may undo each
// other.
func (b *Bucket) SetLifecycle(ctx context.Context, rules ...Rule) (changed bool, err error) {
	c := call{op: "set lifecycle", bucket: b.name}
	ours := make(map[string]Rule, len(rules))
	for _, r := range rules {
		if r.ID == "" || r.ExpireDays < 0 || r.AbortUploadsDays < 0 || r.ExpireDays+r.AbortUploadsDays == 0 {
			return false, c.invalid("lifecycle rule %+v", r)
		}
		if _, twice := ours[r.ID]; twice {
			return false, c.invalid("two lifecycle rules with the id %s", r.ID)
		}
		ours[r.ID] = r
	}
	raw, err := b.lifecycle(ctx)
	if err != nil {
		return false, err
	}
	var set struct {
		XMLName xml.Name `xml:"LifecycleConfiguration"`
		Rules   []any
	}
	same := 0
	for _, r := range raw {
		x, err := r.parse()
		if err != nil {
			return false, c.error(err, nil)
		}
		want, mine := ours[x.ID]
		switch {
		case !mine:
			set.Rules = append(set.Rules, r)
		case x.Status == "Enabled" && x.rule() == want:
			same++
		}
	}
	if same == len(rules) {
		return false, nil
	}
	for _, r := range rules {
		set.Rules = append(set.Rules, r.xml())
	}
	document, err := xml.Marshal(set)
	if err != nil {
		return false, c.error(err, nil)
	}
	_, err = b.do(ctx, c, false, func(client *sdk.Client, header sdk.Option) error {
		return client.SetBucketLifecycleXml(b.name, string(document), header)
	})
	return err == nil, err
}

func (b *Bucket) lifecycle(ctx context.Context) ([]rule, error) {
	c := call{op: "get lifecycle", bucket: b.name}
	var document struct {
		Rules []rule `xml:"Rule"`
	}
	_, err := b.do(ctx, c, false, func(client *sdk.Client, header sdk.Option) error {
		text, err := client.GetBucketLifecycleXml(b.name, header)
		if err != nil {
			return err
		}
		document.Rules = nil
		return xml.Unmarshal([]byte(text), &document)
	})
	var e *Error
	if errors.As(err, &e) && e.Code == "NoSuchLifecycle" {
		return nil, nil
	}
	return document.Rules, err
}

func (r rule) parse() (x ruleXML, err error) {
	err = xml.Unmarshal([]byte("<Rule>"+r.Inner+"</Rule>"), &x)
	return x, err
}
