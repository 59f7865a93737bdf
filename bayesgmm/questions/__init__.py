"""What a fit or a posterior can be asked: one file each, named after the public function."""
