package ecs

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"ecs-image-export/local/ecs/image"
	"ecs-image-export/local/rpc"
)

// maxTags is how many tags a call may name.
const maxTags = 20

// The documented refusals of DescribeImages. The last two are of parameters that
// are not built, and answered by a fault alone.
var (
	errOwnerAlias   = refusal(http.StatusBadRequest, "InvalidImageOwnerAlias.ValueNotSupported", "The specified ImageOwnerAlias is not supported.")
	errOSType       = refusal(http.StatusNotFound, "InvalidOSType", "The specified OSType is not valid.")
	errArchitecture = refusal(http.StatusNotFound, "InvalidArchitecture", "The specified Architecture is not valid.")
	errUsage        = refusal(http.StatusNotFound, "InvalidUsage", "The specified Usage is not valid.")
	errTagCount     = refusal(http.StatusBadRequest, "InvalidTagCount", "The specified tags are beyond the permitted range.")
	errTagMismatch  = refusal(http.StatusBadRequest, "InvalidTag.Mismatch", "The specified Tag.n.Key and Tag.n.Value are not match.")
	errFilterKey    = refusal(http.StatusNotFound, "InvalidFilterKey.NotFound", "The specified FilterKey does not exist.")
	errInstanceType = refusal(http.StatusBadRequest, "InvalidInstanceType.ValueNotSupported", "The specified InstanceType is not supported.")
	errParamter     = refusal(http.StatusBadRequest, "InvalidParamter", "The specified parameter is not valid.") // sic
)

// imageFilter makes the test that an image passes to be listed. Filters that
// the stand-in cannot judge are refused rather than left out.
func imageFilter(r *rpc.Request) (func(image.Image) bool, error) {
	var tests []func(image.Image) bool
	add := func(t func(image.Image) bool) { tests = append(tests, t) }

	for _, name := range []string{"ActionType", "InstanceType"} {
		if r.Get(name) != "" {
			return nil, rpc.NotImplemented("DescribeImages with " + name)
		}
	}
	equal := func(name string, value func(image.Image) string) {
		if want := r.Get(name); want != "" {
			add(func(i image.Image) bool { return value(i) == want })
		}
	}
	equal("ImageFamily", func(i image.Image) string { return i.ImageFamily })
	equal("ResourceGroupId", func(i image.Image) string { return i.ResourceGroupID })
	equal("ImageOwnerId", func(i image.Image) string { return strconv.FormatInt(i.ImageOwnerID, 10) })

	if want := r.Get("ImageId"); want != "" {
		ids := strings.Split(want, ",")
		if len(ids) > 100 {
			return nil, rpc.InvalidParameter("ImageId")
		}
		add(func(i image.Image) bool { return slices.Contains(ids, i.ImageID) })
	}
	if want := strings.Trim(r.Get("ImageName"), "*"); want != "" {
		add(func(i image.Image) bool { return strings.Contains(i.ImageName, want) })
	}
	if want := r.Get("SnapshotId"); want != "" {
		add(func(i image.Image) bool {
			return slices.ContainsFunc(i.Disks(), func(m image.Mapping) bool { return m.SnapshotID == want })
		})
	}
	if r.Get("IsPublic") != "" {
		want, err := r.Bool("IsPublic")
		if err != nil {
			return nil, err
		}
		add(func(i image.Image) bool { return i.IsPublic == want })
	}
	for _, f := range []func(*rpc.Request) (func(image.Image) bool, error){byStatus, byChoice, byTags, byFilters} {
		t, err := f(r)
		if err != nil {
			return nil, err
		}
		add(t)
	}
	return func(i image.Image) bool {
		for _, t := range tests {
			if !t(i) {
				return false
			}
		}
		return true
	}, nil
}

// byStatus takes a list with commas; without one only Available images pass.
func byStatus(r *rpc.Request) (func(image.Image) bool, error) {
	want := r.Get("Status")
	if want == "" {
		want = "Available"
	}
	statuses := strings.Split(want, ",")
	for _, s := range statuses {
		if !slices.Contains(image.Statuses, s) {
			return nil, rpc.InvalidParameter("Status")
		}
	}
	return func(i image.Image) bool { return slices.Contains(statuses, i.Status) }, nil
}

// byChoice holds the parameters that have a fixed set of values.
func byChoice(r *rpc.Request) (func(image.Image) bool, error) {
	choices := []struct {
		name    string
		allowed []string
		refusal *rpc.Error
		value   func(image.Image) string
	}{
		{"ImageOwnerAlias", image.OwnerAliases, errOwnerAlias,
			func(i image.Image) string { return i.ImageOwnerAlias }},
		{"OSType", []string{"linux", "windows"}, errOSType,
			func(i image.Image) string { return i.OSType }},
		{"Architecture", []string{"i386", "x86_64", "arm64"}, errArchitecture,
			func(i image.Image) string { return i.Architecture }},
		{"Usage", []string{"instance", "none"}, errUsage,
			func(i image.Image) string { return i.Usage }},
	}
	for _, c := range choices {
		if v := r.Get(c.name); v != "" && !slices.Contains(c.allowed, v) {
			return nil, c.refusal
		}
	}
	return func(i image.Image) bool {
		for _, c := range choices {
			if v := r.Get(c.name); v != "" && c.value(i) != v {
				return false
			}
		}
		return true
	}, nil
}

// byTags takes Tag.N.Key with or without Tag.N.Value; an image must have all.
func byTags(r *rpc.Request) (func(image.Image) bool, error) {
	if r.Get(fmt.Sprintf("Tag.%d.Key", maxTags+1)) != "" {
		return nil, errTagCount
	}
	type pair struct{ key, value string }
	var want []pair
	for n := 1; n <= maxTags; n++ {
		p := pair{r.Get(fmt.Sprintf("Tag.%d.Key", n)), r.Get(fmt.Sprintf("Tag.%d.Value", n))}
		switch {
		case p.key != "":
			want = append(want, p)
		case p.value != "":
			return nil, errTagMismatch
		}
	}
	return func(i image.Image) bool {
		for _, p := range want {
			if !slices.ContainsFunc(i.Tags.Tag, func(t image.Tag) bool {
				return t.TagKey == p.key && (p.value == "" || t.TagValue == p.value)
			}) {
				return false
			}
		}
		return true
	}, nil
}

// byFilters takes Filter.N.Key CreationStartTime and CreationEndTime.
func byFilters(r *rpc.Request) (func(image.Image) bool, error) {
	var from, to string
	for n := 1; n <= maxTags; n++ {
		key, value := r.Get(fmt.Sprintf("Filter.%d.Key", n)), r.Get(fmt.Sprintf("Filter.%d.Value", n))
		if key == "" {
			continue
		}
		switch key {
		case "CreationStartTime", "CreationEndTime":
		case "NetworkType":
			return nil, rpc.NotImplemented("DescribeImages with Filter NetworkType")
		default:
			return nil, errFilterKey
		}
		at, err := time.Parse("2006-01-02T15:04Z", value)
		if err != nil {
			return nil, rpc.InvalidParameter(fmt.Sprintf("Filter.%d.Value", n))
		}
		if key == "CreationStartTime" {
			from = at.Format("2006-01-02T15:04")
		} else {
			to = at.Format("2006-01-02T15:04")
		}
	}
	return func(i image.Image) bool {
		made := i.CreationTime[:len("2006-01-02T15:04")]
		return (from == "" || made >= from) && (to == "" || made <= to)
	}, nil
}
