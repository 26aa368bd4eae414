package syaml

import (
	"math"
	"regexp"
	"strings"
)

var (
	functionName    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,127}$`)
	environmentName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)
	roleName        = regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`)
)

// maxEnvironment is what the names and values of a function's own variables may
// take together, in bytes.
const maxEnvironment = 4096

// checkFunction holds the limits that the shape of single values can't say.
func (r *reader) checkFunction(f *Function, props *node) {
	if n := props.get("functionName"); f.Name != "" && !functionName.MatchString(f.Name) {
		r.report(n, "functionName %q must be 1 to 128 letters, digits, - and _, and start with a letter or _", f.Name)
	}
	r.checkCode(f, props)
	r.checkSize(f, props)
	if n := props.get("role"); n != nil && n.kind == isString {
		r.checkRole(n, "role")
	}
	if n := props.get("instanceConcurrency"); f.Concurrency > 1 && !strings.HasPrefix(f.Runtime, "custom") {
		r.report(n, "instanceConcurrency is %d, but runtime %s takes one request at a time", f.Concurrency, f.Runtime)
	}
	if n := props.get("instanceLifecycleConfig").get("initializer").get("timeout"); n != nil && n.number > 300 {
		r.report(n, "initializer.timeout is %s, must be at most 300", n.text)
	}
	if n := props.get("instanceLifecycleConfig").get("preStop").get("timeout"); n != nil && n.number > 90 {
		r.report(n, "preStop.timeout is %s, must be at most 90", n.text)
	}
	r.checkEnvironment(props.get("environmentVariables"))
	destinations := props.get("asyncInvokeConfig").get("destinationConfig")
	for _, key := range []string{"onSuccess", "onFailure"} {
		if n := destinations.get(key).get("destination"); n != nil && n.kind == isString {
			r.checkDestination(n, key)
		}
	}
}

func (r *reader) checkCode(f *Function, props *node) {
	if f.Runtime == "" || f.Runtime == "custom-container" || f.Runtime == "micro-sandbox" {
		if f.Runtime != "" && props.get("customContainerConfig") == nil {
			r.report(props, "props needs the key customContainerConfig for runtime %s", f.Runtime)
		}
		return
	}
	if code := props.get("code"); code == nil {
		r.report(props, "props needs the key code for runtime %s", f.Runtime)
	} else if code.kind == isString && code.text == "" {
		r.report(code, "code is blank")
	}
	if strings.HasPrefix(f.Runtime, "custom") {
		return
	}
	handler := props.get("handler")
	switch {
	case handler == nil:
		r.report(props, "props needs the key handler for runtime %s", f.Runtime)
	case f.Runtime == "go1" && handler.kind == isString &&
		(f.Handler == "" || strings.HasPrefix(f.Handler, "/") || strings.Contains("/"+f.Handler+"/", "/../")):
		r.report(handler, "handler %q must be the path of the executable inside the code", f.Handler)
	}
}

func (r *reader) checkSize(f *Function, props *node) {
	if n := props.get("memorySize"); n != nil && n.kind == isInteger && f.MemoryMB%64 != 0 {
		r.report(n, "memorySize is %d, must be a multiple of 64", f.MemoryMB)
	}
	if n := props.get("diskSize"); n != nil && n.kind == isInteger && f.DiskMB != 512 && f.DiskMB != 10240 {
		r.report(n, "diskSize is %d, must be 512 or 10240", f.DiskMB)
	}
	cpu := props.get("cpu")
	if cpu == nil || cpu.kind != isFloat && cpu.kind != isInteger || f.CPU <= 0 {
		return
	}
	if steps := f.CPU / 0.05; math.Abs(steps-math.Round(steps)) > 1e-9 {
		r.report(cpu, "cpu is %s, must be a multiple of 0.05", cpu.text)
	}
	// GB per vCPU, from 1:1 to 4:1.
	if ratio := float64(f.MemoryMB) / 1024 / f.CPU; ratio < 1-1e-9 || ratio > 4+1e-9 {
		r.report(cpu, "%d MB with %s vCPU is %.2f GB per vCPU, must be from 1 to 4", f.MemoryMB, cpu.text, ratio)
	}
}

// checkRole takes a role's name or ARN.
func (r *reader) checkRole(n *node, name string) {
	service, region, account, rest, ok := arn(n.text)
	if ok {
		role, isRole := strings.CutPrefix(rest, "role/")
		ok = service == "ram" && region == "" && account != "" && isRole && roleName.MatchString(role)
	} else {
		ok = roleName.MatchString(n.text)
	}
	if !ok {
		r.report(n, "%s %q must be a role's name or acs:ram::<account>:role/<name>", name, n.text)
	}
}

func (r *reader) checkEnvironment(n *node) {
	if n == nil || n.kind != isMap {
		return
	}
	size := 0
	for _, f := range n.fields {
		size += len(f.key) + len(f.value.text)
		switch {
		case !environmentName.MatchString(f.key):
			r.reportAt(f.line, f.column, "environmentVariables.%s: a name starts with a letter and has letters, digits and _", f.key)
		case strings.HasPrefix(f.key, "FC_"):
			r.reportAt(f.line, f.column, "environmentVariables.%s: names that start with FC_ are the service's", f.key)
		}
	}
	if size > maxEnvironment {
		r.report(n, "environmentVariables take %d bytes, must be at most %d", size, maxEnvironment)
	}
}

func (r *reader) checkDestination(n *node, name string) {
	service, region, account, rest, ok := arn(n.text)
	if ok = ok && region != "" && account != ""; ok {
		switch service {
		case "fc":
			function, is := strings.CutPrefix(rest, "functions/")
			ok = is && function != ""
		case "mns":
			ok = (strings.HasPrefix(rest, "/queues/") || strings.HasPrefix(rest, "/topics/")) &&
				strings.HasSuffix(rest, "/messages") && strings.Count(rest, "/") == 3
		default:
			ok = false
		}
	}
	if !ok {
		r.report(n, "%s.destination %q must be acs:fc:<region>:<account>:functions/<name>, or acs:mns:<region>:<account>: with /queues/<name>/messages or /topics/<name>/messages", name, n.text)
	}
}
