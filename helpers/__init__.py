"""What every notebook of the workbook shares: small modules, one job each."""
