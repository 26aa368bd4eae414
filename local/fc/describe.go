package fc

import (
	"encoding/json"
	"fmt"
	"time"

	"ecs-image-export/local/syaml"
)

// functionInfo is a function as GetFunction and ListFunctions give it.
type functionInfo struct {
	Name             string            `json:"functionName"`
	ARN              string            `json:"functionArn"`
	ID               string            `json:"functionId"`
	Description      string            `json:"description"`
	Runtime          string            `json:"runtime"`
	Handler          string            `json:"handler"`
	MemorySize       int               `json:"memorySize"`
	CPU              float64           `json:"cpu"`
	DiskSize         int               `json:"diskSize"`
	Timeout          int               `json:"timeout"`
	Concurrency      int               `json:"instanceConcurrency"`
	Role             string            `json:"role"`
	Environment      map[string]string `json:"environmentVariables"`
	InternetAccess   bool              `json:"internetAccess"`
	State            string            `json:"state"`
	LastUpdateStatus string            `json:"lastUpdateStatus"`
	CreatedTime      string            `json:"createdTime"`
	LastModifiedTime string            `json:"lastModifiedTime"`
}

func (s *Service) describeFunction(f *function) functionInfo {
	created := s.created.UTC().Format(time.RFC3339)
	return functionInfo{
		Name: f.Name, ARN: f.arn, ID: f.Name, Description: f.Description, Runtime: f.Runtime, Handler: f.Handler,
		MemorySize: f.MemoryMB, CPU: f.CPU, DiskSize: f.DiskMB, Timeout: int(f.Timeout / time.Second),
		Concurrency: f.Concurrency, Role: f.Role, Environment: f.Environment, InternetAccess: true,
		State: "Active", LastUpdateStatus: "Successful", CreatedTime: created, LastModifiedTime: created,
	}
}

// triggerInfo is a trigger as GetTrigger and ListTriggers give it; its
// configuration is JSON in a string.
type triggerInfo struct {
	Name             string `json:"triggerName"`
	ID               string `json:"triggerId"`
	Type             string `json:"triggerType"`
	Description      string `json:"description"`
	Qualifier        string `json:"qualifier"`
	SourceARN        string `json:"sourceArn,omitempty"`
	InvocationRole   string `json:"invocationRole,omitempty"`
	TargetARN        string `json:"targetArn"`
	Config           string `json:"triggerConfig"`
	Status           string `json:"status"`
	CreatedTime      string `json:"createdTime"`
	LastModifiedTime string `json:"lastModifiedTime"`
}

func (s *Service) describeTrigger(f *function, t syaml.Trigger) triggerInfo {
	created := s.created.UTC().Format(time.RFC3339)
	var config any
	switch {
	case t.HTTP != nil:
		config = map[string]any{"authType": t.HTTP.AuthType, "methods": t.HTTP.Methods}
	case t.Timer != nil:
		config = map[string]any{"cronExpression": t.Timer.Cron, "enable": t.Timer.Enable, "payload": t.Timer.Payload}
	case t.OSS != nil:
		config = map[string]any{"events": t.OSS.Events,
			"filter": map[string]any{"key": map[string]any{"prefix": t.OSS.Prefix, "suffix": t.OSS.Suffix}}}
	case t.MNSTopic != nil:
		config = map[string]any{"notifyContentFormat": t.MNSTopic.ContentFormat,
			"notifyStrategy": t.MNSTopic.Strategy, "filterTag": t.MNSTopic.FilterTag}
	}
	text, err := json.Marshal(config)
	if err != nil {
		text = fmt.Appendf(nil, "%q", err)
	}
	return triggerInfo{
		Name: t.Name, ID: triggerID(f, t), Type: t.Type, Description: t.Description, Qualifier: t.Qualifier,
		SourceARN: t.SourceARN, InvocationRole: t.InvocationRole, TargetARN: f.arn, Config: string(text),
		Status: "Active", CreatedTime: created, LastModifiedTime: created,
	}
}
