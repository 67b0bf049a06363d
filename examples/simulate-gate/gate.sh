#!/bin/sh
# Fails when a policy breaks what is asked of it. Usage: gate.sh REF[=CONFIG]
set -eu

policy=${1:?usage: gate.sh REF[=CONFIG]}
doproxy=${DOPROXY:-doproxy}
capacity=100    # requests per second of one droplet
boot_time=90s

gate() { # NAME SHAPES MAX_UNSERVED_PERCENT MAX_COST_OVER_LIMIT
	echo "== $1"
	"$doproxy" simulate --trace "$2" --length 48h --capacity "$capacity" --boot-time "$boot_time" \
		--minimum-charge 0s --policy "$policy" --assert --max-unserved "$3" --max-cost "$4"
}

gate steady    "constant:rate=430"                                                 0.01 1.8
gate wave      "diurnal:mean=500,swing=0.6+noise:share=0.03"                       0.1  1.7
gate lunch     "constant:rate=200+spike:at=12h,height=300,length=2h,every=24h"     1.5  2.0
