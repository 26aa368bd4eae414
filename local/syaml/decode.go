package syaml

import (
	"fmt"
	"strings"
	"time"
)

func (r *reader) checkTop(root *node) {
	for _, key := range []string{"extend", "template"} {
		if n := root.get(key); n != nil {
			r.report(n, "%s is not supported here: write the values out", key)
		}
	}
	top := *topShape
	top.keys = map[string]*shape{"extend": free, "template": free}
	for k, s := range topShape.keys {
		top.keys[k] = s
	}
	r.check(root, "the file", &top)
}

// project reads the values out of a tree, checking resource by resource.
func (r *reader) project(root *node) *Project {
	p := &Project{Name: root.get("name").string(), Access: root.get("access").string()}
	for _, key := range []string{"flow", "actions"} {
		if root.get(key) != nil {
			p.Ignored = append(p.Ignored, key)
		}
	}
	resources := root.get("resources")
	if resources == nil || resources.kind != isMap {
		return p
	}
	names := map[string]string{}
	var objects []*objectTrigger
	for _, f := range resources.fields {
		name := "resources." + f.key
		if f.value.kind != isMap {
			continue // reported by checkTop
		}
		if n := f.value.get("extend"); n != nil {
			r.report(n, "%s.extend is not supported here: write the values out", name)
			continue
		}
		component := f.value.get("component")
		if component.string() != "" && component.string() != "fc3" {
			p.Ignored = append(p.Ignored, fmt.Sprintf("resource %s (component %s)", f.key, component.string()))
			continue
		}
		r.check(f.value, name, resourceShape)
		props := f.value.get("props")
		if props == nil || props.kind != isMap {
			continue
		}
		fn := r.function(props)
		fn.Resource, fn.Line = f.key, f.line
		if f.value.get("actions") != nil {
			fn.Ignored = append(fn.Ignored, "actions")
		}
		if other := names[fn.Name]; other != "" && fn.Name != "" {
			r.report(props.get("functionName"), "functionName %s is that of resources.%s too", fn.Name, other)
		}
		names[fn.Name] = f.key
		objects = append(objects, r.triggers(&fn, props.get("triggers"))...)
		p.Functions = append(p.Functions, fn)
	}
	r.checkObjectTriggers(objects)
	return p
}

func (r *reader) function(props *node) Function {
	r.check(props, "props", propsShape)
	f := Function{
		Name:        props.get("functionName").string(),
		Region:      props.get("region").string(),
		Description: props.get("description").string(),
		Runtime:     props.get("runtime").string(),
		Handler:     props.get("handler").string(),
		Code:        props.get("code").string(),
		Role:        props.get("role").string(),
		MemoryMB:    props.get("memorySize").int(512),
		DiskMB:      props.get("diskSize").int(512),
		Timeout:     time.Duration(props.get("timeout").int(3)) * time.Second,
		Concurrency: props.get("instanceConcurrency").int(1),
		Reserved:    props.get("concurrencyConfig").get("reservedConcurrency").int(0),
		Environment: map[string]string{},
		Async:       Async{Retries: 3, EventAge: 24 * time.Hour},
	}
	if cpu := props.get("cpu"); cpu != nil {
		f.CPU = cpu.number
	} else if f.MemoryMB == 512 {
		f.CPU = 0.35
	}
	if environment := props.get("environmentVariables"); environment != nil {
		for _, v := range environment.fields {
			f.Environment[v.key] = v.value.string()
		}
	}
	lifecycle := props.get("instanceLifecycleConfig")
	if hook := lifecycle.get("initializer"); hook != nil {
		f.Initializer = &Hook{Handler: hook.get("handler").string(),
			Timeout: time.Duration(hook.get("timeout").int(3)) * time.Second}
	}
	if lifecycle.get("preStop") != nil {
		f.Ignored = append(f.Ignored, "instanceLifecycleConfig.preStop")
	}
	if async := props.get("asyncInvokeConfig"); async != nil {
		f.Async.Retries = async.get("maxAsyncRetryAttempts").int(f.Async.Retries)
		if age := async.get("maxAsyncEventAgeInSeconds"); age != nil {
			f.Async.EventAge = time.Duration(age.number) * time.Second
		}
		destinations := async.get("destinationConfig")
		f.Async.OnSuccess = destinations.get("onSuccess").get("destination").string()
		f.Async.OnFailure = destinations.get("onFailure").get("destination").string()
		if async.get("asyncTask") != nil {
			f.Ignored = append(f.Ignored, "asyncInvokeConfig.asyncTask")
		}
	}
	for _, p := range props.fields {
		if !actedOn[p.key] && propsShape.keys[p.key] != nil {
			f.Ignored = append(f.Ignored, p.key)
		}
	}
	r.checkFunction(&f, props)
	return f
}

// string returns the text of a string, or nothing.
func (n *node) string() string {
	if n == nil || n.kind != isString {
		return ""
	}
	return n.text
}

func (n *node) int(otherwise int) int {
	if n == nil || n.kind != isInteger {
		return otherwise
	}
	return int(n.number)
}

func (n *node) strings() []string {
	if n == nil {
		return nil
	}
	var out []string
	for _, item := range n.items {
		out = append(out, item.string())
	}
	return out
}

// arn splits an ARN of Alibaba Cloud: acs:<service>:<region>:<account>:<rest>.
func arn(s string) (service, region, account, rest string, ok bool) {
	parts := strings.SplitN(s, ":", 5)
	if len(parts) != 5 || parts[0] != "acs" {
		return "", "", "", "", false
	}
	return parts[1], parts[2], parts[3], parts[4], true
}
