package export

import "testing"

// FuzzParsePrices wants a price list to be refused or to have a price of everything
// that is estimated, and none below zero.
func FuzzParsePrices(f *testing.F) {
	f.Add(DefaultPrices)
	f.Add(`{"currency":"CNY","date":"2026-01-02","storage":{"Standard":-1},"requests":0,"outbound":1e308}`)
	f.Add(`{} {}`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePrices(text)
		if err != nil {
			return
		}
		if p.Currency == "" || len(p.Storage) == 0 || p.Requests < 0 || p.Outbound < 0 {
			t.Errorf("%q: %+v", text, p)
		}
		for class, price := range p.Storage {
			if price < 0 {
				t.Errorf("%q: %s costs %v", text, class, price)
			}
		}
	})
}
