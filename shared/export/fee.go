package export

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"regexp"
	"strings"
	"time"
)

// Prices are what OSS charges, as whoever runs the deployment entered them. OSS
// counts a GB as 2^30 bytes.
type Prices struct {
	Currency string `json:"currency"` // ISO 4217
	Date     string `json:"date"`     // of the price list, 2006-01-02
	For      string `json:"for"`      // which list it is
	// Storage of a GB for a month, by storage class.
	Storage map[string]float64 `json:"storage"`
	// Requests of a bucket, 10,000 of them.
	Requests float64 `json:"requests"`
	// Outbound traffic to the internet, a GB.
	Outbound float64 `json:"outbound"`
}

// DefaultPrices is a price list to begin with. The one that counts is at
// https://www.aliyun.com/price/product#/oss/detail.
const DefaultPrices = `{"currency":"CNY","date":"2018-01-03","for":"OSS in mainland China, locally redundant, list price","storage":{"Standard":0.12},"requests":0.01,"outbound":0.5}`

// ParsePrices reads a price list from JSON. A name that it does not know is an
// error, because a price with a slip in its name would count as zero.
func ParsePrices(text string) (Prices, error) {
	var p Prices
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return Prices{}, fmt.Errorf("price list: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return Prices{}, fmt.Errorf("price list: there is more behind the object")
	}
	return p, p.validate()
}

var currency = regexp.MustCompile(`^[A-Z]{3}$`)

func (p Prices) validate() error {
	if !currency.MatchString(p.Currency) {
		return fmt.Errorf("price list: currency is %q: it must be three capitals, such as CNY", p.Currency)
	}
	if _, err := time.Parse(time.DateOnly, p.Date); err != nil {
		return fmt.Errorf("price list: date is %q: it must be like 2006-01-02", p.Date)
	}
	all := map[string]float64{"requests": p.Requests, "outbound": p.Outbound}
	for class, price := range p.Storage {
		all["storage "+class] = price
	}
	for name, price := range all {
		if price < 0 {
			return fmt.Errorf("price list: %s is %v: it must not be below zero", name, price)
		}
	}
	if len(p.Storage) == 0 {
		return fmt.Errorf("price list: storage has no class; it must have Standard at least")
	}
	return nil
}

// Fees are what an export costs in OSS; ECS charges nothing for it. The sums are
// in Currency by the price list of Date.
type Fees struct {
	Currency string `json:"currency"`
	Date     string `json:"date"`
	For      string `json:"for"`
	// Bytes are what is stored and downloaded.
	Bytes        int64  `json:"bytes"`
	StorageClass string `json:"storageClass"`
	// StorageMonth is for a month of storage. It is missing where the price list
	// does not have the storage class.
	StorageMonth *float64 `json:"storageMonth,omitempty"`
	// Requests is for writing the objects, and for reading each once: at most,
	// because nobody but ECS knows in how many parts it writes.
	Requests float64 `json:"requests"`
	// Download is for the traffic of downloading everything once over the
	// internet. Within the region it costs nothing.
	Download float64 `json:"download"`
}

// The limits of a multipart upload: https://www.alibabacloud.com/help/en/oss/user-guide/limits
const (
	maxParts = 10_000
	minPart  = 100 << 10
	gib      = 1 << 30
)

// FeesOf adds up what objects of these sizes cost in a bucket of a storage class.
func FeesOf(p Prices, class string, objects ...int64) Fees {
	f := Fees{Currency: p.Currency, Date: p.Date, For: p.For, StorageClass: class}
	requests := int64(0)
	for _, size := range objects {
		f.Bytes += size
		parts := (size + minPart - 1) / minPart
		requests += min(parts, maxParts) + 2 + 1 // and the begin and the end of the upload; and a download
	}
	gb := float64(f.Bytes) / gib
	if price, ok := p.Storage[class]; ok {
		sum := money(gb * price)
		f.StorageMonth = &sum
	}
	f.Requests = money(float64(requests) / 10_000 * p.Requests)
	f.Download = money(gb * p.Outbound)
	return f
}

// EstimateFees is FeesOf before anything is exported, for disks that are full and
// don't compress: at most so much.
func EstimateFees(p Prices, class string, disks []Disk) Fees {
	sizes := make([]int64, len(disks))
	for i, d := range disks {
		sizes[i] = int64(d.SizeGiB) * gib
	}
	return FeesOf(p, class, sizes...)
}

// money rounds up to a ten-thousandth, so that what costs something never shows
// as nothing.
func money(sum float64) float64 { return math.Ceil(sum*1e4-1e-6) / 1e4 }
