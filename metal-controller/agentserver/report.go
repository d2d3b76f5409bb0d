package agentserver

import (
	"context"

	"ingot.dev/ingot/agent/protocol"
	"ingot.dev/ingot/metal-controller/agentserver/claims"
	"ingot.dev/ingot/metal-controller/agentserver/desk"
)

// AcknowledgeRestart takes an agent's word that it restarts its machine, before it does.
func (s *Server) AcknowledgeRestart(ctx context.Context, r *protocol.AcknowledgeRestartRequest) (*protocol.AcknowledgeRestartResponse, error) {
	who := callerOf(ctx)
	if !claims.BootID(r.GetBootId()) {
		return nil, refuse(codeInvalid, "", "boot_id is empty or malformed; it comes from the order to restart")
	}
	err := s.answer(ctx, protocol.Agent_AcknowledgeRestart_FullMethodName, who.server, s.desk.Acknowledge(ctx, who.Caller, who.server, r.GetBootId()))
	if err != nil {
		return nil, err
	}
	s.cfg.Log.Info("Recorded an acknowledged restart", "server", who.server, "bootID", who.BootID, "begins", r.GetBootId())
	return &protocol.AcknowledgeRestartResponse{}, nil
}

// ReportTask takes how a task fares, from the one boot that it was given to.
func (s *Server) ReportTask(ctx context.Context, r *protocol.ReportTaskRequest) (*protocol.ReportTaskResponse, error) {
	who := callerOf(ctx)
	report := desk.Report{ID: claims.Text(r.GetId(), 63), Generation: r.GetGeneration()}
	if report.ID == "" || report.Generation < 1 {
		return nil, refuse(codeInvalid, "", "the id or the generation of the task is missing")
	}
	var err error
	if report.Progress, err = claims.Progress(r.GetProgress()); err != nil {
		return nil, refuse(codeInvalid, "", err.Error())
	}
	if report.Receipt, err = claims.Receipt(r.GetReceipt()); err != nil {
		return nil, refuse(codeInvalid, "", err.Error())
	}
	if err := s.answer(ctx, protocol.Agent_ReportTask_FullMethodName, who.server, s.desk.Report(ctx, who.Caller, who.server, report)); err != nil {
		return nil, err
	}
	if report.Receipt != nil {
		s.cfg.Log.Info("Recorded a receipt", "server", who.server, "bootID", who.BootID, "task", report.ID, "generation", report.Generation)
	}
	return &protocol.ReportTaskResponse{}, nil
}
