-- What an operator counts of transfers and invoices: see the query `backlog`.
CREATE INDEX business_transfers_in_review ON business_transfers (disputed) WHERE disputed;
CREATE INDEX invoices_indeterminate ON invoices (status) WHERE status = 'INDETERMINATE';
CREATE INDEX invoices_in_review ON invoices (disputed) WHERE disputed;
