package boot

import (
	"errors"
	"fmt"
	"strings"
)

// firstStage is what every machine runs first, whether iPXE came from us (as autoexec.ipxe) or lives in the machine (as boot.ipxe).
//
// Over IPv4 it keeps the address that the firmware got, so that no second DHCP exchange is needed; netX is the interface opened last, the one that boots.
// Otherwise it runs DHCPv4 only: iPXE's default also waits for an IPv6 router that never answers on many segments (about 15 s in older builds).
// Over IPv6 it always asks: iPXE takes no address over from the firmware then, and what it learned of a router alone is no address.
// A boot server that does not answer may be dead, and another one may serve the network: after each failure DHCP tells which, as the bootfile of whoever
// answers. A machine follows three times at most without having been given a script, so that servers that do not know it do not keep it.
// ":uristring" escapes what SMBIOS holds, so that a serial number cannot add words to the command.
const firstStage = `#!ipxe
echo Ingot: boot server {base}
set try:int32 0
{keep}:dhcp
echo Ingot: asking for an {family} address
ifconf --configurator {configurator} && goto where || goto again
:where
isset ${filename} || goto ask
iseq ${filename} {own} && goto ask ||
isset ${ingot-hops} || set ingot-hops:int32 0
iseq ${ingot-hops} {hops} && goto ask ||
inc ingot-hops
echo Ingot: another boot server answers, ${filename}
chain --autofree --replace ${filename} || goto ask
:ask
chain --autofree --replace {script}?uuid=${uuid}&mac=${netX/mac:hexhyp}&serial=${serial:uristring}&manufacturer=${manufacturer:uristring}&product=${product:uristring}&arch=${buildarch}&platform=${platform}&try=${try} || goto again
:again
inc try
iseq ${try} {tries} && goto leave ||
echo Ingot: no script from the boot server (${errno}), asking again in {pause} seconds
sleep {pause}
goto dhcp
:leave
echo Ingot: no script from the boot server, leaving to the firmware, which goes on with its next boot device
exit 1
`

// keepIPv4 goes on with an address that is there.
const keepIPv4 = `isset ${netX/ip} && goto ask || isset ${net0/ip} || goto dhcp
ifopen net0 && goto ask || goto dhcp
`

// overIPv6 says whether a boot server is named by an IPv6 address. Then there may be no IPv4 on the network at all.
func overIPv6(url string) bool { return strings.HasPrefix(url, "http://[") }

// configurator is what iPXE calls the way to an address of the family that leads to url.
func configurator(url string) string {
	if overIPv6(url) {
		return "ipv6"
	}
	return "dhcp"
}

// First-stage limits: three tries, five seconds apart, so that a machine that Ingot does not answer is back in its firmware soon.
const (
	firstStageTries = "3"
	firstStagePause = "5"
	firstStageHops  = "3"
)

// MediaStage is FirstStage for a machine that was started from virtual media. Whoever inserted that wants this boot server, and no other: what the network's
// DHCP server names as boot file is not followed, since it is there for others.
func MediaStage(base, ownPath, scriptPath string) ([]byte, error) {
	text, err := FirstStage(base, ownPath, scriptPath)
	if err != nil {
		return nil, err
	}
	return []byte(strings.Replace(string(text), "#!ipxe\n", "#!ipxe\necho Ingot: started from virtual media\nset ingot-hops:int32 "+firstStageHops+"\n", 1)), nil
}

// FirstStage writes the script that asks the HTTP server at base, such as "http://192.0.2.1:7480" or "http://[2001:db8::1]:7480", for the machine's own script, at the path
// scriptPath. It is itself served at ownPath.
func FirstStage(base, ownPath, scriptPath string) ([]byte, error) {
	host, ok := strings.CutPrefix(base, "http://")
	if !ok || host == "" || strings.ContainsAny(host, "/?#%") {
		return nil, fmt.Errorf("%w: %q is not http://HOST:PORT", ErrUnsafe, base)
	}
	if err := errors.Join(checkWord(base+scriptPath), checkWord(base+ownPath)); err != nil {
		return nil, err
	}
	keep, family := keepIPv4, "IPv4"
	if overIPv6(base) {
		keep, family = "", "IPv6"
	}
	text := strings.NewReplacer(
		"{keep}", keep, "{family}", family, "{configurator}", configurator(base),
		"{base}", base, "{script}", base+scriptPath, "{own}", base+ownPath, "{tries}", firstStageTries, "{pause}", firstStagePause, "{hops}", firstStageHops,
	).Replace(firstStage)
	return []byte(text), nil
}
