package ipmi

import (
	"slices"

	"github.com/bougou/go-ipmi/pkg/rmcpplus"
	"github.com/bougou/go-ipmi/pkg/types"
)

// suite is a set of algorithms with its number (22.15.2, table 22-20).
type suite struct {
	id        types.CipherSuiteID
	auth      types.AuthAlg
	integrity types.IntegrityAlg
	crypt     types.CryptAlg
}

// suites are what we propose, best first: 17 is RAKP-HMAC-SHA256, HMAC-SHA256-128, AES-CBC-128; 3 is the same with SHA1 and
// mandatory for BMCs. The others lack confidentiality or use MD5 and RC4; 0 lets everybody in.
func suites() []suite {
	return []suite{
		{17, types.AuthAlg_HMAC_SHA256, types.IntegrityAlg_HMAC_SHA256_128, types.CryptAlg_AES_CBC_128},
		{3, types.AuthAlg_HMAC_SHA1, types.IntegrityAlg_HMAC_SHA1_96, types.CryptAlg_AES_CBC_128},
	}
}

// propose is an Open Session Request for this suite alone (13.17). Privilege 0 asks for the highest that the suite allows.
func (s suite) propose(tag uint8, consoleID uint32) *rmcpplus.OpenSessionRequest {
	auth, integrity, crypt := rmcpplus.NewAlgorithmPayloads(s.auth, s.integrity, s.crypt)
	return &rmcpplus.OpenSessionRequest{
		MessageTag: tag, RemoteConsoleSessionID: consoleID,
		AuthenticationPayload: auth, IntegrityPayload: integrity, ConfidentialityPayload: crypt,
	}
}

// chosen says that the BMC agreed to exactly this suite. Another choice, "none" above all, is no agreement.
func (s suite) chosen(by *rmcpplus.OpenSessionResponse) bool {
	return by.AuthAlg == uint8(s.auth) && by.IntegrityAlg == uint8(s.integrity) && by.CryptAlg == uint8(s.crypt)
}

// unknownSuite are the status codes of a BMC that does not have the proposed suite (13.24). ipmi_sim of OpenIPMI 2.0.33 answers
// 04h to suite 17, others 11h; 12h is what firmware says that parses only what it knew in 2004.
func unknownSuite(status types.RmcpStatusCode) bool {
	return slices.Contains([]types.RmcpStatusCode{
		types.RmcpStatusCodeInvalidAuthAlg, types.RmcpStatusCodeInvalidIntegrityAlg, types.RmcpStatusCodeNoMatchingAuthPayload,
		types.RmcpStatusCodeNoMatchingIntegrityPayload, types.RmcpStatusCodeInvalidConfidentAlg, types.RmcpStatusCodeNoCipherSuiteMatch,
		types.RmcpStatusCodeIllegalParameter,
	}, status)
}
