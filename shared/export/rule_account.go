package export

import (
	"fmt"
	"time"
)

func imageBusy(s Subject, _ Limits) breach {
	if s.Account.ImageTask == "" {
		return breach{}
	}
	return breach{found: fmt.Sprintf("Task %s exports image %s at the moment.", s.Account.ImageTask, s.Order.ImageID)}
}

func quotaConcurrent(s Subject, _ Limits) breach {
	if s.Account.held() != codeConcurrent {
		return breach{}
	}
	return breach{found: "ECS takes no more exports at the moment." + s.Account.nextTry()}
}

func quotaWeekly(s Subject, _ Limits) breach {
	if s.Account.held() != codeWeekly {
		return breach{}
	}
	return breach{found: "ECS takes no more exports this week." + s.Account.nextTry()}
}

func tasksLimit(s Subject, _ Limits) breach {
	if s.Account.held() != CodeTaskLimit {
		return breach{}
	}
	return breach{found: "As many exports run as this deployment allows itself." + s.Account.nextTry()}
}

func queueBefore(s Subject, _ Limits) breach {
	if s.Account.Waiting == 0 {
		return breach{}
	}
	return breach{found: fmt.Sprintf("Exports that wait for their turn before this one: %d.", s.Account.Waiting)}
}

// held is the code of what holds every export back, blank for nothing.
func (a Account) held() string {
	if a.Hold == nil {
		return ""
	}
	return a.Hold.Code
}

func (a Account) nextTry() string {
	return " The next try is at " + a.Hold.Next.UTC().Format(time.RFC3339) + "."
}
