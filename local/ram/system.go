package ram

import "ecs-image-export/local/identity"

// systemPolicy is a policy that every account has and nobody can change.
type systemPolicy struct {
	description, created, document string
}

func (p systemPolicy) parsed() identity.Policy {
	parsed, err := identity.ParsePolicy([]byte(p.document))
	if err != nil {
		panic(err) // a test parses every one
	}
	return parsed
}

// systemPolicies are the ones that an image export can need, with the documents
// that the pages of RAM's reference show. The content of
// AliyunECSImageExportRolePolicy is not published: this is what ExportImage's
// page says that a policy in its place must contain.
var systemPolicies = map[string]systemPolicy{
	"AdministratorAccess": {
		"Provides full access to Alibaba Cloud services and resources.", "2015-04-28T15:19:11Z",
		`{"Version":"1","Statement":[{"Action":"*","Resource":"*","Effect":"Allow"}]}`,
	},
	"AliyunECSImageExportRolePolicy": {
		"The policy for AliyunECSImageExportDefaultRole.", "2018-02-28T08:24:19Z",
		`{"Version":"1","Statement":[{"Action":["oss:GetObject","oss:PutObject","oss:DeleteObject","oss:GetBucketLocation","oss:GetBucketInfo","oss:AbortMultipartUpload","oss:ListMultipartUploads","oss:ListParts"],"Resource":"*","Effect":"Allow"}]}`,
	},
	"AliyunFCInvocationAccess": {
		"Provides invocation access to Function Compute via Management Console.", "2017-05-17T10:44:06Z",
		`{"Version":"1","Statement":[{"Action":["fc:InvokeFunction"],"Resource":"*","Effect":"Allow"}]}`,
	},
	"AliyunMNSNotificationRolePolicy": {
		"The policy for AliyunMNSNotificationRole.", "2025-04-27T10:04:35Z",
		`{"Version":"1","Statement":[{"Action":["fc:InvokeFunction"],"Resource":"*","Effect":"Allow"}]}`,
	},
	"AliyunOSSFullAccess": {
		"Provides full access to Object Storage Service via Management Console.", "2015-04-28T15:19:13Z",
		`{"Version":"1","Statement":[{"Action":"oss:*","Resource":"*","Effect":"Allow"}]}`,
	},
	"AliyunOSSReadOnlyAccess": {
		"Provides read-only access to Object Storage Service via Management Console.", "2015-04-28T15:19:13Z",
		`{"Version":"1","Statement":[{"Action":["oss:Get*","oss:List*"],"Resource":"*","Effect":"Allow"}]}`,
	},
	"AliyunSTSAssumeRoleAccess": {
		"Provides access to the API AssumeRole of Security Token Service(STS).", "2015-08-03T04:52:09Z",
		`{"Version":"1","Statement":[{"Action":"sts:AssumeRole","Effect":"Allow","Resource":"*"}]}`,
	},
}
