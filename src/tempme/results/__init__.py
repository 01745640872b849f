"""What runs and machines leave behind, as files, and as tables of anyone's runs."""
