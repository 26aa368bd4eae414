package syaml

import (
	"fmt"
	"time"
)

// ScaleIntervals divides a duration in Go's notation by speed and gives it in
// the same notation, never below a millisecond. It returns an error for text
// that is no positive duration.
func ScaleIntervals(duration string, speed float64) (string, error) {
	d, err := time.ParseDuration(duration)
	if err != nil || d <= 0 {
		return "", fmt.Errorf("%q is not a duration such as 15s", duration)
	}
	if speed == 0 || speed == 1 {
		return duration, nil
	}
	scaled := max(time.Duration(float64(d)/speed), time.Millisecond)
	return scaled.String(), nil
}

// scaleIntervals scales the values of vars.intervals, which n is.
func (r *reader) scaleIntervals(n *node) {
	if n.kind != isMap {
		r.report(n, "vars.intervals must be a map, is %s", n.kind)
		return
	}
	for _, f := range n.fields {
		if f.value.kind != isString {
			r.report(f.value, "vars.intervals.%s must be a duration such as 15s, is %s", f.key, f.value.kind)
			continue
		}
		scaled, err := ScaleIntervals(f.value.text, r.options.Speed)
		if err != nil {
			r.report(f.value, "vars.intervals.%s: %v", f.key, err)
			continue
		}
		f.value.text = scaled
	}
}
