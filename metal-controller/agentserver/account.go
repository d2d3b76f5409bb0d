package agentserver

import (
	"context"
	"time"

	"ingot.dev/ingot/agent/protocol"
	"ingot.dev/ingot/metal-controller/agentserver/claims"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// account renders the order about the BMC's users. It is the only message that holds a password, and is logged nowhere.
func (s *Server) account(ctx context.Context, server string, t lifecycle.Task) (*protocol.Directive, time.Duration, error) {
	g := t.Account
	password, err := s.desk.Password(ctx, server, g)
	if err != nil {
		return nil, 0, s.internal("reading the account of the BMC", err)
	}
	return &protocol.Directive{Kind: &protocol.Directive_BmcAccount{BmcAccount: &protocol.BMCAccount{
		Id: g.ID(), Generation: g.Generation(), Username: g.Username(), Password: password.Reveal(), Drop: g.Drop(),
	}}}, t.After, nil
}

// ReportBMCAccount takes what became of an account at the BMC.
func (s *Server) ReportBMCAccount(ctx context.Context, r *protocol.ReportBMCAccountRequest) (*protocol.ReportBMCAccountResponse, error) {
	who := callerOf(ctx)
	report := lifecycle.AccountReport{
		ID: claims.Text(r.GetId(), 63), Generation: r.GetGeneration(), Dropped: r.GetDropped(), Error: claims.Text(r.GetError(), 256),
		Address: claims.Text(r.GetAddress(), 45), Slot: r.GetSlot(), Channel: r.GetChannel(), Port: r.GetPort(),
	}
	switch {
	case report.ID == "" || report.Generation < 1:
		return nil, refuse(codeInvalid, "", "the id or the generation of the account is missing")
	case report.Slot < 0 || report.Slot > 63 || report.Channel < 0 || report.Channel > 15 || report.Port < 0 || report.Port > 65535:
		return nil, refuse(codeInvalid, "", "slot, channel or port are none of a BMC")
	case r.GetError() != "" && report.Error == "":
		report.Error = "the agent gave an error that does not print" // an error never turns into success by cleaning
	}
	if err := s.answer(ctx, protocol.Agent_ReportBMCAccount_FullMethodName, who.server, s.desk.ReportAccount(ctx, who.Caller, who.server, report)); err != nil {
		return nil, err
	}
	s.cfg.Log.Info("Recorded a report of a BMC account", "server", who.server, "bootID", who.BootID, "account", report.ID, "dropped", report.Dropped, "failed", report.Error != "")
	return &protocol.ReportBMCAccountResponse{}, nil
}
