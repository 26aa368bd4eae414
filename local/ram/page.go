package ram

import (
	"encoding/base64"

	"go.etcd.io/bbolt"

	"ecs-image-export/local/rpc"
)

// listed is how an answer says that there is more. Marker is only there if
// IsTruncated is true.
type listed struct {
	IsTruncated bool
	Marker      string `json:",omitempty"`
}

// page is one page of a list, in the order of keys.
type page struct {
	after   string // the last key of the page before
	longest int
	listed
}

// newPage reads Marker and MaxItems (1 to 1000, 100 where it is not given).
func newPage(r *rpc.Request) (*page, error) {
	n, err := r.Int("MaxItems", 100, 1, 1000)
	if err != nil {
		return nil, errRange("MaxItems", 1, 1000)
	}
	after, err := base64.RawURLEncoding.DecodeString(r.Get("Marker"))
	if err != nil {
		return nil, bad("InvalidParameter.Marker", `The parameter - "Marker" is incorrect.`)
	}
	return &page{after: string(after), longest: n}, nil
}

// each calls f with the keys of the page.
func (p *page) each(tx *bbolt.Tx, bucket []byte, f func(key string) error) error {
	var keys []string
	c := tx.Bucket(bucket).Cursor()
	for k, _ := c.Seek([]byte(p.after)); k != nil && len(keys) <= p.longest; k, _ = c.Next() {
		if string(k) != p.after {
			keys = append(keys, string(k))
		}
	}
	return p.pick(keys, f)
}

// pick calls f with those of keys, all after the page before, that fit on the
// page.
func (p *page) pick(keys []string, f func(key string) error) error {
	if len(keys) > p.longest {
		keys = keys[:p.longest]
		p.IsTruncated = true
		p.Marker = base64.RawURLEncoding.EncodeToString([]byte(keys[len(keys)-1]))
	}
	for _, k := range keys {
		if err := f(k); err != nil {
			return err
		}
	}
	return nil
}
