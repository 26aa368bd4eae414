package rpc_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ecs-image-export/shared/rpc"
)

func TestValuesAreTakenAsTheyCome(t *testing.T) {
	t.Parallel()
	type values struct {
		B rpc.Bool
		N rpc.Int
		T rpc.Text
		D rpc.Time
	}
	minute := rpc.Time{Time: time.Date(2020, 11, 24, 12, 50, 0, 0, time.UTC)}
	for in, want := range map[string]values{
		`{"B":true,"N":60,"T":"x","D":"2020-11-24T12:50Z"}`:                     {true, 60, "x", minute},
		`{"B":"true","N":"60","T":7,"D":"2020-11-24T12:50:00Z"}`:                {true, 60, "7", minute},
		`{"B":"True","N":"","T":null,"D":""}`:                                   {true, 0, "", rpc.Time{}},
		`{"B":1,"N":null,"T":true,"D":null}`:                                    {true, 0, "true", rpc.Time{}},
		`{"B":"no","N":6e1,"T":"","D":"2020-11-24T20:50:00+08:00"}`:             {false, 60, "", minute},
		`{"B":false,"N":9007199254740993,"T":" y ","D":"2020-11-24T12:50:00Z"}`: {false, 9007199254740993, "y", minute},
		`{}`: {},
	} {
		var got values
		if err := json.Unmarshal([]byte(in), &got); err != nil {
			t.Errorf("%s: %v", in, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", in, d)
		}
	}
	for _, in := range []string{`{"N":"many"}`, `{"N":1.5}`, `{"N":{}}`, `{"D":"noon"}`} {
		if err := json.Unmarshal([]byte(in), &values{}); err == nil {
			t.Errorf("%s: accepted", in)
		}
	}
}
