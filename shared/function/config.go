package function

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Decode decodes environment variables into a Config by its "env" tags. The
// error names every variable that is missing or wrong, a line each.
func Decode[C any](environment map[string]string) (C, error) {
	var config C
	err := env.ParseWithOptions(&config, env.Options{Environment: environment})
	var all env.AggregateError
	if errors.As(err, &all) {
		for i, e := range all.Errors {
			// The library names the field, which whoever deploys does not know.
			var wrong env.ParseError
			if errors.As(e, &wrong) {
				all.Errors[i] = fmt.Errorf("%s: %w", variable(reflect.TypeFor[C](), wrong.Name), wrong.Err)
			}
		}
		err = errors.Join(all.Errors...)
	}
	if v, ok := any(&config).(interface{ Validate() error }); ok {
		err = errors.Join(err, v.Validate())
	}
	return config, err
}

// variable is the environment variable that a field is read from.
func variable(config reflect.Type, field string) string {
	f, _ := config.FieldByName(field)
	name, _, _ := strings.Cut(f.Tag.Get("env"), ",")
	return name
}

// Variables lists the environment variables that a Config reads.
func Variables[C any]() ([]string, error) {
	var config C
	fields, err := env.GetFieldParams(&config)
	if err != nil {
		return nil, fmt.Errorf("list the variables of %v: %w", reflect.TypeFor[C](), err)
	}
	var names []string
	for _, f := range fields {
		names = append(names, f.Key)
	}
	slices.Sort(names)
	return names, nil
}

func environ() map[string]string {
	environment := map[string]string{}
	for _, kv := range os.Environ() {
		k, v, _ := strings.Cut(kv, "=")
		environment[k] = v
	}
	return environment
}
