package main

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"

	"ecs-image-export/shared/export"
)

// RuleConfig is what orders are checked against, and reckoned by. The defaults are
// what the vendor's pages say.
type RuleConfig struct {
	DataDisksMax     int `env:"DATA_DISKS_MAX" envDefault:"4"`
	DataDiskGiBMax   int `env:"DATA_DISK_GIB_MAX" envDefault:"500"`
	SystemDiskGiBMax int `env:"SYSTEM_DISK_GIB_MAX" envDefault:"0"` // 0: no limit is known
	// FormatRegions offer other formats than RAW; blank for those of ECS's page.
	FormatRegions []string `env:"FORMAT_REGIONS"`
	// Prices is a price list, an export.Prices in JSON; blank for the default.
	Prices string `env:"PRICES"`
}

var regionID = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)+$`)

func (c RuleConfig) validate() error {
	var problems []error
	for name, n := range map[string]int{"DATA_DISKS_MAX": c.DataDisksMax, "SYSTEM_DISK_GIB_MAX": c.SystemDiskGiBMax} {
		if n < 0 {
			problems = append(problems, fmt.Errorf("%s is %d: it must not be below zero", name, n))
		}
	}
	if c.DataDiskGiBMax <= 0 {
		problems = append(problems, fmt.Errorf("DATA_DISK_GIB_MAX is %d: it must be above zero", c.DataDiskGiBMax))
	}
	for _, region := range c.FormatRegions {
		if !regionID.MatchString(region) {
			problems = append(problems, fmt.Errorf("FORMAT_REGIONS holds %q: it must be ids such as eu-central-1, with commas and no spaces between them", region))
		}
	}
	if _, err := c.prices(); err != nil {
		problems = append(problems, fmt.Errorf("PRICES: %w", err))
	}
	return errors.Join(problems...)
}

func (c RuleConfig) prices() (*export.Prices, error) {
	p, err := export.ParsePrices(cmp.Or(c.Prices, export.DefaultPrices))
	return &p, err
}

// limits are what the rules compare with.
func (c Config) limits() export.Limits {
	l := export.DefaultLimits()
	l.RegionID, l.AccountID, l.Buckets, l.Tasks = c.Region, c.AccountID, c.ExportBuckets, c.TasksAtOnce
	l.RoleName = c.ExportRole
	l.DataDisks, l.DataDiskGiB, l.SystemDiskGiB = c.DataDisksMax, c.DataDiskGiBMax, c.SystemDiskGiBMax
	if len(c.FormatRegions) > 0 {
		l.FormatRegions = c.FormatRegions
	}
	return l
}
