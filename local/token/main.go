// Command token prints a token that the functions of a stand-in accept, signed
// with the key in its folder.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"ecs-image-export/local/cloud"
	"ecs-image-export/local/issuer"
)

func main() {
	subject := flag.String("subject", "somebody", "whom the token speaks for (sub)")
	scope := flag.String("scope", strings.Join(issuer.Scopes, " "), "what it is good for, with spaces between")
	life := flag.Duration("life", 24*time.Hour, "how long it is good for")
	data := flag.String("data", ".local", "data folder of the stand-in")
	flag.Parse()
	token, err := issue(*data, *subject, *scope, *life)
	if err != nil {
		fmt.Fprintln(os.Stderr, "token:", err)
		os.Exit(1)
	}
	fmt.Println(token)
}

func issue(data, subject, scope string, life time.Duration) (string, error) {
	path := cloud.IssuerFile(data)
	// A key of a folder that no stand-in has used is one that nobody trusts.
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("no stand-in was started with this folder (make run): %w", err)
	}
	if subject == "" || life <= 0 {
		return "", errors.New("-subject must not be blank, and -life above zero")
	}
	scopes := strings.Fields(scope)
	for _, s := range scopes {
		if !slices.Contains(issuer.Scopes, s) {
			return "", fmt.Errorf("-scope names %q; there are %s", s, strings.Join(issuer.Scopes, ", "))
		}
	}
	keys, err := issuer.Open(path)
	if err != nil {
		return "", err
	}
	return keys.Token(subject, life, scopes...)
}
