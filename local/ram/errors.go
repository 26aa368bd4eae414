package ram

import (
	"fmt"
	"net/http"

	"ecs-image-export/local/rpc"
)

// RAM's refusals, in the words of its public list of error messages. What that
// list lacks is worded in its manner.
var (
	errNoRole          = notFound("EntityNotExist.Role", "The role does not exist.")
	errNoPolicy        = notFound("EntityNotExist.Policy", "The policy does not exist.")
	errNoVersion       = notFound("EntityNotExist.Policy.Version", "The policy version does not exist.")
	errNotAttached     = notFound("EntityNotExist.Role.Policy", "The indicate policy of the role does not exist.")
	errRoleExists      = conflict("EntityAlreadyExists.Role", "The role does already EXIST.")
	errPolicyExists    = conflict("EntityAlreadyExists.Policy", "The policy does already EXIST.")
	errAttached        = conflict("EntityAlreadyExists.Role.Policy", "The role has already been attached this policy.")
	errRoleInUse       = conflict("DeleteConflict.Role.Policy", "The role CAN NOT has any attached policy while deleting the role.")
	errPolicyInUse     = conflict("DeleteConflict.Policy.Role", "The policy CAN NOT been attached to any role while deleting the policy.")
	errPolicyVersions  = conflict("DeleteConflict.Policy.Version", "The policy CAN NOT has any version except the default version.")
	errDefaultVersion  = conflict("DeleteConflict.Policy.Version.Default", "The default policy version CAN NOT been deleted directly.")
	errTooManyRoles    = conflict("LimitExceeded.Role", "The count of roles beyond the current limits.")
	errTooManyPolicies = conflict("LimitExceeded.Policy", "The count of policy beyond the current limits.")
	errTooManyVersions = conflict("LimitExceeded.Policy.Version", "The count of policy version beyond the current limits.")
	errTooManyAttached = conflict("LimitExceeded.Role.Policy", "The count of policies attached to the role beyond the current limits.")
	errPolicyType      = bad("InvalidParameter.PolicyType", `The parameter - "PolicyType" is incorrect.`)
	errVersionID       = bad("InvalidParameter.VersionId.Format", `The format of the parameter - "VersionId" is incorrect.`)
)

// refusals are those of RAM's operations that are built here.
var refusals = []*rpc.Error{
	errNoRole, errNoPolicy, errNoVersion, errNotAttached, errRoleExists, errPolicyExists, errAttached, errRoleInUse,
	errPolicyInUse, errPolicyVersions, errDefaultVersion, errTooManyRoles, errTooManyPolicies, errTooManyVersions,
	errTooManyAttached, errPolicyType, errVersionID, errLength("RoleName"), errChars("RoleName"),
	errLength("AssumeRolePolicyDocument"), errLength("Description"), errLength("PolicyName"), errChars("PolicyName"),
	errLength("PolicyDocument"), noPermission(nil, "", ""),
	bad("MalformedPolicyDocument", "The policy document is malformed."),
}

// refusalsOfSTS are those of AssumeRole.
var refusalsOfSTS = []*rpc.Error{
	errRoleARN, errSessionName, errPolicyGrammar, errPolicySize, errNotAuthorized(),
	bad("InvalidParameter.DurationSeconds", "The Min/Max value of DurationSeconds is 15min/1hr."),
	notFound("EntityNotExist.Role", "The role not exists."),
}

func bad(code, message string) *rpc.Error {
	return &rpc.Error{Status: http.StatusBadRequest, Code: code, Message: message}
}

func notFound(code, message string) *rpc.Error {
	return &rpc.Error{Status: http.StatusNotFound, Code: code, Message: message}
}

func conflict(code, message string) *rpc.Error {
	return &rpc.Error{Status: http.StatusConflict, Code: code, Message: message}
}

func errLength(param string) *rpc.Error {
	return bad("InvalidParameter."+param+".Length", fmt.Sprintf("The parameter - %q beyond the length limit.", param))
}

func errChars(param string) *rpc.Error {
	return bad("InvalidParameter."+param+".InvalidChars", fmt.Sprintf("The parameter - %q contains invalid chars.", param))
}

func errRange(param string, lowest, highest int) *rpc.Error {
	return bad("InvalidParameter."+param+".Range", fmt.Sprintf("The parameter - %q MUST be in the range of %d and %d.", param, lowest, highest))
}

func errMalformed(err error) *rpc.Error { return bad("MalformedPolicyDocument", err.Error()) }

// noPermission is what RAM says where ECS says Forbidden.RAM.
func noPermission(_ *rpc.Request, action, resource string) *rpc.Error {
	return &rpc.Error{
		Status: http.StatusForbidden, Code: "NoPermission",
		Message: "You are not authorized to do this action. Resource: " + resource + " Action: " + action,
	}
}
