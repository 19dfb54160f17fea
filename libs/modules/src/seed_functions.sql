-- What the seeds call. The setting livepreview.seed holds the session's id, a UUIDv7 with dashes.

-- The id of a seeded row, named like 'users/ada': the same for one session, another for each session. A UUIDv7 with
-- the session's own first half (instant, version, variant) and 60 bits of a hash. plpgsql, because a call site costs
-- nothing to plan; an inlined SQL function is parsed again at each.
CREATE OR REPLACE FUNCTION provisioner.seed_id(name text) RETURNS uuid
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
    RETURN (
        left(current_setting('livepreview.seed'), 20)
        || right(md5(current_setting('livepreview.seed') || name), 15)
    )::uuid;
END
$$;

-- A sample account by its first name. Where a visitor has removed it, the eldest active admin stands in; there always
-- is one.
CREATE OR REPLACE FUNCTION provisioner.seed_user(first_name text) RETURNS uuid
LANGUAGE plpgsql STABLE AS $$
DECLARE
    account uuid;
BEGIN
    SELECT id INTO account FROM users WHERE id = provisioner.seed_id('users/' || first_name);
    IF NOT FOUND THEN
        SELECT id INTO account FROM users WHERE role = 'ADMIN' AND status = 'active' ORDER BY created_at, id LIMIT 1;
    END IF;
    RETURN account;
END
$$;

-- The HTML part of a seeded e-mail: values escaped, styles inline.
CREATE OR REPLACE FUNCTION provisioner.seed_html(name text, body text, path text, label text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT format(
        '<div style="max-width:560px;margin:0 auto;padding:24px;font-family:system-ui,sans-serif;color:#1f2937">'
        '<p style="margin:0 0 24px;font-size:18px;font-weight:600;color:#4f46e5">Northwind Studio</p>'
        '<p>Hello %s,</p><p style="line-height:1.5">%s</p>'
        '<p><a href="%s" style="display:inline-block;padding:10px 18px;border-radius:6px;background:#4f46e5;color:#fff;'
        'text-decoration:none">%s</a></p></div>',
        VARIADIC array_agg(
            replace(replace(replace(replace(part, '&', '&amp;'), '<', '&lt;'), '>', '&gt;'), '"', '&quot;')
            ORDER BY position
        )
    )
    FROM unnest(ARRAY[name, body, path, label]) WITH ORDINALITY AS piece (part, position)
$$;
