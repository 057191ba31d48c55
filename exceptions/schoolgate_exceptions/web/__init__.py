"""The portal's own pages: routes, forms, and what the templates are shown. Knows HTTP; decides nothing."""
