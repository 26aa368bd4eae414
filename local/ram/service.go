package ram

import (
	"ecs-image-export/local/rpc"
)

func (s *Service) ramService() *rpc.Service {
	role := func(r *rpc.Request) string { return s.resource("role/" + r.Get("RoleName")) }
	roles := func(*rpc.Request) string { return s.resource("role/*") }
	policies := func(*rpc.Request) string { return s.resource("policy/*") }
	name, document, version := []string{"PolicyName"}, []string{"PolicyName", "PolicyDocument"}, []string{"PolicyName", "VersionId"}
	attach := []string{"PolicyType", "PolicyName", "RoleName"}
	typed := []string{"PolicyType", "PolicyName"}
	return &rpc.Service{
		Product:    "Ram",
		Version:    "2015-05-01",
		Host:       "ram.aliyuncs.com",
		Identities: s,
		Denied:     noPermission,
		Refusals:   refusals,
		Now:        s.now,
		Actions: []rpc.Action{
			{Name: "CreateRole", Resource: roles, Required: []string{"RoleName", "AssumeRolePolicyDocument"}, Do: s.createRole},
			{Name: "GetRole", Resource: role, Required: []string{"RoleName"}, Do: s.getRole},
			{Name: "UpdateRole", Resource: role, Required: []string{"RoleName"}, Do: s.updateRole},
			{Name: "ListRoles", Resource: roles, Do: s.listRoles},
			{Name: "DeleteRole", Resource: role, Required: []string{"RoleName"}, Do: s.deleteRole},

			{Name: "CreatePolicy", Resource: policies, Required: document, Do: s.createPolicy},
			{Name: "GetPolicy", Resource: s.policyResource, Required: typed, Do: s.getPolicy},
			{Name: "ListPolicies", Resource: policies, Do: s.listPolicies},
			{Name: "DeletePolicy", Resource: s.policyResource, Required: name, Do: s.deletePolicy},

			{Name: "CreatePolicyVersion", Resource: s.policyResource, Required: document, Do: s.createVersion},
			{Name: "GetPolicyVersion", Resource: s.policyResource, Required: append(typed[:2:2], "VersionId"), Do: s.getVersion},
			{Name: "ListPolicyVersions", Resource: s.policyResource, Required: typed, Do: s.listVersions},
			{Name: "DeletePolicyVersion", Resource: s.policyResource, Required: version, Do: s.deleteVersion},
			{Name: "SetDefaultPolicyVersion", Resource: s.policyResource, Required: version, Do: s.setDefaultVersion},

			{Name: "AttachPolicyToRole", Resource: role, Required: attach, Do: s.attach},
			{Name: "DetachPolicyFromRole", Resource: role, Required: attach, Do: s.detach},
			{Name: "ListPoliciesForRole", Resource: role, Required: []string{"RoleName"}, Do: s.listForRole},
			{Name: "ListEntitiesForPolicy", Resource: s.policyResource, Required: typed, Do: s.listEntities},
		},
		Unbuilt: []string{
			"CreateUser", "GetUser", "UpdateUser", "DeleteUser", "ListUsers",
			"CreateLoginProfile", "GetLoginProfile", "UpdateLoginProfile", "DeleteLoginProfile",
			"CreateAccessKey", "UpdateAccessKey", "DeleteAccessKey", "ListAccessKeys", "GetAccessKeyLastUsed",
			"CreateVirtualMFADevice", "ListVirtualMFADevices", "DeleteVirtualMFADevice", "BindMFADevice", "UnbindMFADevice", "GetUserMFAInfo",
			"CreateGroup", "GetGroup", "UpdateGroup", "DeleteGroup", "ListGroups",
			"AddUserToGroup", "RemoveUserFromGroup", "ListGroupsForUser", "ListUsersForGroup",
			"AttachPolicyToUser", "DetachPolicyFromUser", "ListPoliciesForUser",
			"AttachPolicyToGroup", "DetachPolicyFromGroup", "ListPoliciesForGroup",
			"SetAccountAlias", "GetAccountAlias", "ClearAccountAlias", "ChangePassword",
			"SetPasswordPolicy", "GetPasswordPolicy", "SetSecurityPreference", "GetSecurityPreference",
			"UpdatePolicyDescription", "DecodeDiagnosticMessage", "TagResources", "UntagResources", "ListTagResources",
		},
	}
}

func (s *Service) stsService() *rpc.Service {
	return &rpc.Service{
		Product:    "Sts",
		Version:    "2015-04-01",
		Host:       "sts." + s.cfg.Region + ".aliyuncs.com",
		Identities: s,
		Denied:     func(*rpc.Request, string, string) *rpc.Error { return errNotAuthorized() },
		Refusals:   refusalsOfSTS,
		Now:        s.now,
		Actions: []rpc.Action{
			{Name: "AssumeRole", Resource: s.assumedResource, Required: []string{"RoleArn", "RoleSessionName"}, Do: s.assumeRole},
			{Name: "GetCallerIdentity", Anyone: true, Do: s.callerIdentity},
		},
		Unbuilt: []string{"AssumeRoleWithSAML", "AssumeRoleWithOIDC"},
	}
}
