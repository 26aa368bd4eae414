package syaml

// The shapes below are those of the fc3 component's published JSON Schema
// (draft-07, in testdata), with the limits of Function Compute's limits page and
// no key but the known ones.

// maxTimeout is a day, in seconds.
const maxTimeout = 86400

var (
	regions = []string{"ap-northeast-1", "ap-northeast-2", "ap-south-1", "ap-southeast-1", "ap-southeast-2",
		"ap-southeast-3", "ap-southeast-5", "ap-southeast-7", "cn-beijing", "cn-chengdu", "cn-hangzhou",
		"cn-heyuan-acdr-1", "cn-hongkong", "cn-huhehaote", "cn-qingdao", "cn-shanghai", "cn-shanghai-cloudspe",
		"cn-shanghai-finance-1", "cn-shenzhen", "cn-wulanchabu", "cn-zhangjiakou", "eu-central-1", "eu-west-1",
		"me-central-1", "us-east-1", "us-west-1"}
	runtimes = []string{"custom", "custom-container", "custom.debian10", "custom.debian11", "custom.debian12",
		"dotnetcore2.1", "dotnetcore3.1", "go1", "java11", "java8", "micro-sandbox", "nodejs10", "nodejs12",
		"nodejs14", "nodejs16", "nodejs18", "nodejs20", "nodejs8", "php7.2", "python2.7", "python3", "python3.10",
		"python3.12", "python3.9"}
	triggerTypes = []string{"cdn_events", "eventbridge", "http", "log", "mns_topic", "oss", "tablestore", "timer"}
	httpMethods  = []string{"GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"}
	objectEvents = []string{"oss:ObjectCreated:*", "oss:ObjectCreated:AppendObject",
		"oss:ObjectCreated:CompleteMultipartUpload", "oss:ObjectCreated:CopyObject",
		"oss:ObjectCreated:InitiateMultipartUpload", "oss:ObjectCreated:PostObject",
		"oss:ObjectCreated:PutObject", "oss:ObjectCreated:PutSymlink", "oss:ObjectCreated:UploadPart",
		"oss:ObjectCreated:UploadPartCopy", "oss:ObjectModified:UpdateObjectMeta",
		"oss:ObjectRemoved:AbortMultipartUpload", "oss:ObjectRemoved:DeleteObject",
		"oss:ObjectRemoved:DeleteObjects"}
)

// topShape is the file; what stands in access, vars, actions and flow is the
// deploy tool's own affair.
var topShape = object(map[string]*shape{
	"edition": text("3.0.0"), "name": text(), "access": text(), "vars": mapOf(free),
	"flow": free, "actions": free, "resources": mapOf(mapOf(free)),
}).require("edition", "name", "resources")

var resourceShape = object(map[string]*shape{
	"component": text(), "access": text(), "actions": free, "props": mapOf(free),
}).require("component", "props")

// actedOn are the properties that mean something outside the cloud too; the
// others given end in Function.Ignored. Logs are kept whatever logConfig says.
var actedOn = map[string]bool{
	"region": true, "functionName": true, "description": true, "runtime": true, "handler": true, "code": true,
	"role": true, "memorySize": true, "cpu": true, "diskSize": true, "timeout": true, "instanceConcurrency": true,
	"concurrencyConfig": true, "environmentVariables": true, "instanceLifecycleConfig": true,
	"asyncInvokeConfig": true, "triggers": true, "logConfig": true, "internetAccess": true, "tags": true,
}

var (
	hookShape   = object(map[string]*shape{"handler": text(), "timeout": number(1, maxTimeout), "command": listOf(text())})
	targetShape = object(map[string]*shape{"destination": text()}).require("destination")
	healthShape = object(map[string]*shape{"failureThreshold": number(0, 0), "httpGetUrl": text(),
		"initialDelaySeconds": number(0, 0), "periodSeconds": number(0, 0), "successThreshold": number(0, 0),
		"timeoutSeconds": number(0, 0)})
	scheduleKeys = map[string]*shape{"name": text(), "startTime": text(), "endTime": text(),
		"scheduleExpression": text(), "target": number(0, 0), "timeZone": text()}
)

var propsShape = object(map[string]*shape{
	"region":                  text(regions...),
	"functionName":            text(),
	"description":             text(),
	"runtime":                 text(runtimes...),
	"handler":                 text(),
	"code":                    object(map[string]*shape{"src": text(), "ossBucketName": text(), "ossObjectName": text()}).orText(),
	"role":                    text(),
	"memorySize":              number(128, 32768),
	"cpu":                     fraction(0.05, 16),
	"diskSize":                number(512, 10240),
	"timeout":                 number(1, maxTimeout),
	"environmentVariables":    mapOf(text()),
	"instanceConcurrency":     number(1, 200),
	"concurrencyConfig":       object(map[string]*shape{"reservedConcurrency": number(0, 0)}).require("reservedConcurrency"),
	"instanceLifecycleConfig": object(map[string]*shape{"initializer": hookShape, "preStop": hookShape}),
	"asyncInvokeConfig": object(map[string]*shape{
		"asyncTask":                 boolean,
		"destinationConfig":         object(map[string]*shape{"onSuccess": targetShape, "onFailure": targetShape}),
		"maxAsyncEventAgeInSeconds": number(1, 30*maxTimeout),
		"maxAsyncRetryAttempts":     number(0, 8),
		"qualifier":                 text(),
	}),
	"triggers":       listOf(free),
	"internetAccess": boolean,
	"tags":           listOf(object(map[string]*shape{"key": text(), "value": text()}).require("key", "value")),
	"logConfig": object(map[string]*shape{"project": text(), "logstore": text(), "enableRequestMetrics": boolean,
		"enableInstanceMetrics": boolean, "enableLlmMetrics": boolean,
		"logBeginRule": text("DefaultRegex", "None")}).require("project", "logstore").orAuto(),

	"annotations": object(map[string]*shape{"headers": mapOf(text())}),
	"customContainerConfig": object(map[string]*shape{"image": text(), "command": listOf(text()),
		"entrypoint": listOf(text()), "port": number(1, 65535), "healthCheckConfig": healthShape,
		"registryConfig": object(map[string]*shape{
			"authConfig":    object(map[string]*shape{"userName": text(), "password": text()}),
			"certConfig":    object(map[string]*shape{"insecure": boolean, "rootCaCertBase64": text()}),
			"networkConfig": object(map[string]*shape{"vpcId": text(), "vSwitchId": text(), "securityGroupId": text()}),
		})}),
	"customDNS": object(map[string]*shape{"nameServers": listOf(text()), "searches": listOf(text()),
		"dnsOptions": listOf(object(map[string]*shape{"name": text(), "value": text()}).require("name", "value"))}),
	"customRuntimeConfig": object(map[string]*shape{"command": listOf(text()), "args": listOf(text()),
		"port": number(1, 65535), "healthCheckConfig": healthShape}),
	"enableLongLiving":      boolean,
	"endpoint":              text(),
	"gpuConfig":             object(map[string]*shape{"gpuMemorySize": number(1024, 24576), "gpuType": text("fc.gpu.ampere.1", "fc.gpu.tesla.1")}),
	"instanceIsolationMode": text(),
	"layers":                listOf(text()),
	"nasConfig": object(map[string]*shape{"userId": number(0, 0), "groupId": number(0, 0),
		"mountPoints": listOf(object(map[string]*shape{"serverAddr": text(), "mountDir": text(), "enableTLS": boolean}).
			require("serverAddr", "mountDir"))}).require("userId", "groupId", "mountPoints").orAuto(),
	"ossMountConfig": object(map[string]*shape{
		"mountPoints": listOf(object(map[string]*shape{"bucketName": text(), "bucketPath": text(), "endpoint": text(),
			"mountDir": text(), "readOnly": boolean}).require("bucketName", "endpoint", "mountDir"))}).
		require("mountPoints").orAuto(),
	"provisionConfig": object(map[string]*shape{"alwaysAllocateCPU": boolean, "alwaysAllocateGPU": boolean,
		"defaultTarget": number(0, 0), "scheduledActions": listOf(object(scheduleKeys)),
		"targetTrackingPolicies": listOf(object(map[string]*shape{"name": text(), "startTime": text(),
			"endTime": text(), "timeZone": text(), "metricType": text(), "metricTarget": fraction(0, 0),
			"minCapacity": number(0, 0), "maxCapacity": number(0, 0)}))}),
	"resourceGroupId": text(),
	"scalingConfig": object(map[string]*shape{"minInstances": number(0, 0), "residentPoolId": text(),
		"scheduledPolicies": listOf(object(scheduleKeys)),
		"horizontalScalingPolicies": listOf(object(map[string]*shape{"name": text(), "startTime": text(),
			"endTime": text(), "timeZone": text(), "metricType": text(), "metricTarget": fraction(0, 0),
			"minInstances": number(0, 0), "maxInstances": number(0, 0)}))}),
	"sessionAffinity": text(),
	"sessionAffinityConfig": object(map[string]*shape{"affinityHeaderFieldName": text(),
		"sessionConcurrencyPerInstance": number(0, 0), "sessionIdleTimeoutInSeconds": number(0, 0),
		"sessionTTLInSeconds": number(0, 0), "sseEndpointPath": text()}).orText(),
	"supplement": free,
	"tracingConfig": object(map[string]*shape{"type": text(), "params": text(),
		"jaegerConfig": object(map[string]*shape{"endpoint": text()}).require("endpoint")}),
	"vpcBinding": object(map[string]*shape{"vpcIds": listOf(text())}).require("vpcIds"),
	"vpcConfig": object(map[string]*shape{"vpcId": text(), "securityGroupId": text(),
		"vSwitchIds": listOf(text()).orAuto()}).require("vpcId", "securityGroupId", "vSwitchIds").orAuto(),
}).require("region", "functionName", "runtime")

var triggerShape = object(map[string]*shape{
	"triggerName": text(), "triggerType": text(triggerTypes...), "triggerConfig": mapOf(free), "description": text(),
	"qualifier": text(), "sourceArn": text(), "invocationRole": text(),
}).require("triggerName", "triggerType", "triggerConfig")

var configShapes = map[string]*shape{
	"http": object(map[string]*shape{"authType": text("anonymous", "function", "jwt"),
		"methods": listOf(text(httpMethods...)), "disableURLInternet": boolean,
		"authConfig": object(map[string]*shape{"blacklist": listOf(text()), "whitelist": listOf(text()),
			"claimPassBy": listOf(free).orText(), "tokenLookup": listOf(free).orText(),
			"jwks": object(map[string]*shape{"keys": listOf(mapOf(text()))}).require("keys"),
		}).require("jwks", "tokenLookup"),
	}).require("authType", "methods"),
	"timer": object(map[string]*shape{"cronExpression": text(), "enable": boolean, "payload": text()}).
		require("cronExpression", "enable"),
	"oss": object(map[string]*shape{"events": listOf(text(objectEvents...)),
		"filter": object(map[string]*shape{"key": object(map[string]*shape{"prefix": text(), "suffix": text()}).
			require("prefix", "suffix")}).require("key")}).require("events", "filter"),
	"mns_topic": object(map[string]*shape{"notifyContentFormat": text("JSON", "STREAM"),
		"notifyStrategy": text("BACKOFF_RETRY", "EXPONENTIAL_DECAY_RETRY"), "filterTag": text()}).
		require("notifyContentFormat", "notifyStrategy"),
	"cdn_events": object(map[string]*shape{"eventName": text(), "eventVersion": text(), "notes": text(),
		"filter": mapOf(listOf(text()))}).require("eventName", "eventVersion", "filter", "notes"),
	"log": object(map[string]*shape{"enable": boolean, "functionParameter": free,
		"jobConfig": mapOf(free), "logConfig": mapOf(text()), "sourceConfig": mapOf(text())}).
		require("enable", "jobConfig", "logConfig", "sourceConfig"),
	"tablestore": mapOf(free),
	"eventbridge": object(map[string]*shape{"triggerEnable": boolean, "asyncInvocationType": boolean,
		"eventRuleFilterPattern": text(), "eventSinkConfig": mapOf(free), "eventSourceConfig": mapOf(free),
		"runOptions": mapOf(free)}).
		require("triggerEnable", "asyncInvocationType", "eventRuleFilterPattern", "eventSinkConfig",
			"eventSourceConfig", "runOptions"),
}
