package export

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Prices are what OSS charges, as whoever runs the deployment entered them. OSS
// counts a GB as 2^30 bytes.
type Prices struct {
	Currency string `json:"currency"` // ISO 4217
	Date     string `json:"date"`     // of the price list, 2006-01-02
	// For is which list it is: region and redundancy of the bucket.
	For string `json:"for"`
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

// The storage classes of OSS.
const (
	classStandard        = "Standard"
	classIA              = "IA"
	classArchive         = "Archive"
	classColdArchive     = "ColdArchive"
	classDeepColdArchive = "DeepColdArchive"
)

var storageClasses = []string{classStandard, classIA, classArchive, classColdArchive, classDeepColdArchive}

// maxPrice is far above the price of anything in any currency: what is above it is
// a slip.
const maxPrice = 1_000_000

// ParsePrices reads a price list from JSON. A name that it does not know and a price
// that is not there are errors, because both would count as zero. The error has all
// that is wrong.
func ParsePrices(text string) (Prices, error) {
	var list struct {
		Prices
		Storage  map[string]*float64 `json:"storage"`
		Requests *float64            `json:"requests"`
		Outbound *float64            `json:"outbound"`
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&list); err != nil {
		return Prices{}, fmt.Errorf("price list: it must be a JSON object like %s: %w", DefaultPrices, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return Prices{}, errors.New("price list: there is more behind the object; take it away")
	}
	p := list.Prices
	p.Storage = map[string]float64{}
	var missing []string
	price := func(name string, of *float64, what string) float64 {
		if of == nil {
			missing = append(missing, fmt.Sprintf("%s has no price: write that of %s, 0 if it costs nothing", name, what))
			return 0
		}
		return *of
	}
	if _, ok := list.Storage[classStandard]; !ok {
		price("storage of "+classStandard, nil, "a GB for a month")
	}
	for _, class := range slices.Sorted(maps.Keys(list.Storage)) {
		p.Storage[class] = price("storage of "+class, list.Storage[class], "a GB for a month")
	}
	p.Requests = price("requests", list.Requests, "10,000 requests")
	p.Outbound = price("outbound", list.Outbound, "a GB of traffic to the internet")
	if problems := append(p.problems(), missing...); len(problems) > 0 {
		return Prices{}, fmt.Errorf("price list: %s", strings.Join(problems, "; "))
	}
	return p, nil
}

var currency = regexp.MustCompile(`^[A-Z]{3}$`)

// problems are what is wrong with a price list, a clause each.
func (p Prices) problems() []string {
	var problems []string
	problem := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if !currency.MatchString(p.Currency) {
		problem("currency is %q: it must be three capitals, such as CNY", p.Currency)
	}
	if _, err := time.Parse(time.DateOnly, p.Date); err != nil {
		problem("date is %q: it must be the day of the list, like 2006-01-02", p.Date)
	}
	if strings.TrimSpace(p.For) == "" {
		problem(`"for" is missing: write which list it is, such as its region and redundancy`)
	}
	price := func(name string, price float64) {
		if !(price >= 0 && price <= maxPrice) { // not a number is neither
			problem("%s is %v: it must be a price, from 0 to %d", name, price, maxPrice)
		}
	}
	for _, class := range slices.Sorted(maps.Keys(p.Storage)) {
		if !slices.Contains(storageClasses, class) {
			problem("storage has class %q, which OSS does not: it must be one of %s", class, strings.Join(storageClasses, ", "))
		}
		price("storage of "+class, p.Storage[class])
	}
	price("requests", p.Requests)
	price("outbound", p.Outbound)
	return problems
}

// Fees are what an export costs in OSS; ECS charges nothing for it. The sums are
// in Currency by the price list of Date. They are of storage, requests and traffic,
// and hold nothing else that OSS charges for: not the least time that the classes
// but Standard are paid for, nor the retrieval of their objects, nor what zone
// redundancy or requests of another class cost more than the list says.
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
// don't compress.
func EstimateFees(p Prices, class string, disks []Disk) Fees {
	sizes := make([]int64, len(disks))
	for i, d := range disks {
		sizes[i] = int64(d.SizeGiB) * gib
	}
	return FeesOf(p, class, sizes...)
}

// money rounds up to a ten-thousandth, so that what costs something never shows
// as nothing.
func money(sum float64) float64 { return max(0, math.Ceil(sum*1e4-1e-6)) / 1e4 }
